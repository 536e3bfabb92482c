#include "app/edits.h"

int edits_load(struct edits *out, const struct command *c, const struct model *model,
    struct arena *arena, struct err *e)
{
    const struct param_value *v = args_get(&c->args, "edit");
    struct edit *list = arena_array(arena, (size_t)v->n_texts + 1, sizeof *list, e);
    if (!list)
        return ERR_LIMIT;
    for (int i = 0; i < v->n_texts; i++) {
        int rc = edit_parse(&list[i], v->texts[i], &model->cfg, arena, e);
        if (rc)
            return rc;
    }
    *out = (struct edits){list, v->n_texts};
    return 0;
}
