#ifndef SONDE_VIEWS_BUF_H
#define SONDE_VIEWS_BUF_H

#include <stdarg.h>
#include <stddef.h>

/* Text that grows. The zero value is empty. After a failed allocation `failed` stays set, further
 * text is dropped and what is there stays readable, so that only the end needs a check. */
struct buf {
    char *data; /* NUL-terminated once anything was put; NULL before */
    size_t n, capacity;
    int failed;
};

void buf_put(struct buf *b, const char *s, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Text for XML content and attributes: & < > " ' escaped, control bytes dropped. */
void buf_xml(struct buf *b, const char *s);
void buf_release(struct buf *b);

#endif
