#ifndef SONDE_VIEWS_PNG_H
#define SONDE_VIEWS_PNG_H

#include <stdint.h>

#include "views/buf.h"

/* An 8-bit palette PNG (ISO/IEC 15948) in base64: w x h values, each kx x ky pixels. The data are
 * stored, not deflated: a drawing's zlib has its front door elsewhere, and a file that is read once
 * need not be small. */
void png_base64(struct buf *out, const uint8_t *values, int w, int h, int kx, int ky,
    const uint32_t palette[256]);

#endif
