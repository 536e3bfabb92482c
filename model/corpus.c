#include "model/corpus.h"

#include <stdlib.h>
#include <string.h>

void corpus_release(struct corpus **c)
{
    if (!*c)
        return;
    free((*c)->tokens);
    free((*c)->train);
    free((*c)->held);
    free(*c);
    *c = NULL;
}

int64_t corpus_rows(const struct corpus *c, const struct piece *p)
{
    return p->n + (c->bos >= 0);
}

int64_t corpus_read(int32_t *out, const struct corpus *c, const struct piece *p)
{
    int64_t n = 0;
    if (c->bos >= 0)
        out[n++] = (int32_t)c->bos;
    memcpy(out + n, c->tokens + p->begin, (size_t)p->n * sizeof *out);
    return n + p->n;
}
