#ifndef SONDE_VIEWS_PNG_H
#define SONDE_VIEWS_PNG_H

#include <stdint.h>

#include "views/buf.h"

/* An 8-bit palette PNG (ISO/IEC 15948) of w x h pixels in base64. The data are stored, not deflated:
 * a drawing's zlib has its front door elsewhere, and a file that is read once need not be small. */
void png_base64(struct buf *out, const uint8_t *pixels, int w, int h, const uint32_t palette[256]);

#endif
