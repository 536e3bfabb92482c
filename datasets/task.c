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

enum { YEARS = 100, DIGITS = 3 };

const char *const *task_years(struct arena *arena, struct err *e)
{
    const char **list = arena_array(arena, YEARS, sizeof *list, e);
    char *text = arena_alloc(arena, (size_t)YEARS * DIGITS, e);
    if (!list || !text)
        return NULL;
    for (int i = 0; i < YEARS; i++) {
        char *digits = text + i * DIGITS;
        digits[0] = (char)('0' + i / 10);
        digits[1] = (char)('0' + i % 10);
        digits[2] = '\0';
        list[i] = digits;
    }
    return list;
}

void task_later_years(struct item *out, const char *const *years, int from)
{
    out->answer = years + from + 1;
    out->n_answer = YEARS - 1 - from;
    out->wrong = years;
    out->n_wrong = from + 1;
}
