#include "datasets/task.h"

int task_pair(struct item *out, struct pen *p, const char *pattern, const char *const clean[26],
    const char *const corrupt[26])
{
    pen_fill(p, pattern, clean);
    out->clean.text = pen_finish(p);
    pen_fill(p, pattern, corrupt);
    out->corrupt.text = pen_finish(p);
    return out->clean.text && out->corrupt.text ? 0 : ERR_LIMIT;
}

int task_answer(struct item *out, struct pen *p, const char *answer, const char *wrong, bool spaced)
{
    const char **texts = arena_array(p->arena, 2, sizeof *texts, p->err);
    if (!texts)
        return ERR_LIMIT;
    for (int i = 0; i < 2; i++) {
        pen_put(p, spaced ? " " : "");
        pen_put(p, i ? wrong : answer);
        if (!(texts[i] = pen_finish(p)))
            return ERR_LIMIT;
    }
    out->answer = &texts[0];
    out->wrong = &texts[1];
    out->n_answer = out->n_wrong = 1;
    return 0;
}
