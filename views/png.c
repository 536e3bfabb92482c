#include "views/png.h"

#include <string.h>

#define STORED_MAX 65535 /* bytes of one stored block of RFC 1951 */

/* What PNG asks of every byte: base64 outside, CRC-32 of the chunk, Adler-32 of the image. */
struct png {
    struct buf *out;
    uint32_t crc, table[256], a, b;
    uint8_t rest[3];
    int n_rest;
};

static void base64(struct png *p, const uint8_t *v)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char four[4] = {digits[v[0] >> 2], digits[(v[0] & 3) << 4 | v[1] >> 4],
        digits[(v[1] & 15) << 2 | v[2] >> 6], digits[v[2] & 63]};
    buf_put(p->out, four, 4);
}

static void put(struct png *p, const uint8_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p->crc = p->table[(p->crc ^ v[i]) & 255] ^ p->crc >> 8;
        p->rest[p->n_rest++] = v[i];
        if (p->n_rest == 3) {
            base64(p, p->rest);
            p->n_rest = 0;
        }
    }
}

static void put_u32(struct png *p, uint32_t v)
{
    const uint8_t bytes[] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    put(p, bytes, sizeof bytes);
}

static void chunk_begin(struct png *p, const char *name, uint32_t bytes)
{
    put_u32(p, bytes);
    p->crc = 0xffffffffu;
    put(p, (const uint8_t *)name, 4);
}

static void chunk_end(struct png *p)
{
    put_u32(p, ~p->crc);
}

/* One byte of the image, in stored blocks of at most STORED_MAX. */
static void put_data(struct png *p, const uint8_t *v, size_t n, size_t *done, size_t total)
{
    for (size_t i = 0; i < n; i++, ++*done) {
        if (*done % STORED_MAX == 0) {
            size_t left = total - *done, k = left < STORED_MAX ? left : STORED_MAX;
            const uint8_t head[] = {
                left <= STORED_MAX, (uint8_t)k, (uint8_t)(k >> 8), (uint8_t)~k, (uint8_t)(~k >> 8)};
            put(p, head, sizeof head);
        }
        put(p, v + i, 1);
        p->a = (p->a + v[i]) % 65521;
        p->b = (p->b + p->a) % 65521;
    }
}

static void put_image(struct png *p, const uint8_t *values, int w, int h, int kx, int ky)
{
    static const uint8_t zlib_head[] = {0x78, 0x01}, no_filter = 0;
    size_t total = (size_t)h * (size_t)ky * ((size_t)w * (size_t)kx + 1), done = 0;
    size_t blocks = (total + STORED_MAX - 1) / STORED_MAX;
    chunk_begin(p, "IDAT", (uint32_t)(total + 5 * blocks + 6));
    put(p, zlib_head, sizeof zlib_head);
    p->a = 1;
    p->b = 0;
    for (int y = 0; y < h * ky; y++) {
        const uint8_t *row = values + (size_t)(y / ky) * (size_t)w;
        put_data(p, &no_filter, 1, &done, total);
        if (kx == 1)
            put_data(p, row, (size_t)w, &done, total);
        for (int x = 0; kx > 1 && x < w * kx; x++)
            put_data(p, row + x / kx, 1, &done, total);
    }
    put_u32(p, p->b << 16 | p->a);
    chunk_end(p);
}

void png_base64(struct buf *out, const uint8_t *values, int w, int h, int kx, int ky,
    const uint32_t palette[256])
{
    static const uint8_t magic[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    static const uint8_t indexed[] = {
        8, 3, 0, 0, 0}; /* bits, palette, deflate, filter, no lacing */
    struct png p = {.out = out};
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
        p.table[i] = c;
    }
    put(&p, magic, sizeof magic);
    chunk_begin(&p, "IHDR", 13);
    put_u32(&p, (uint32_t)(w * kx));
    put_u32(&p, (uint32_t)(h * ky));
    put(&p, indexed, sizeof indexed);
    chunk_end(&p);
    chunk_begin(&p, "PLTE", 256 * 3);
    for (int i = 0; i < 256; i++) {
        const uint8_t rgb[] = {
            (uint8_t)(palette[i] >> 16), (uint8_t)(palette[i] >> 8), (uint8_t)palette[i]};
        put(&p, rgb, sizeof rgb);
    }
    chunk_end(&p);
    put_image(&p, values, w, h, kx, ky);
    chunk_begin(&p, "IEND", 0);
    chunk_end(&p);
    if (p.n_rest) {
        int n = p.n_rest;
        memset(p.rest + n, 0, (size_t)(3 - n));
        base64(&p, p.rest);
        if (!p.out->failed) {
            p.out->data[p.out->n - 1] = '=';
            if (n == 1)
                p.out->data[p.out->n - 2] = '=';
        }
    }
}
