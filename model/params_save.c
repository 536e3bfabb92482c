#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/params.h"

/* The master of slot i as the file has it: prefixed as transformers writes it, gammas with their
 * gain, matrices narrowed. */
static int export_slot(struct weights_out *o, const struct params *p, const struct param_arrays *a,
    int i, enum dtype dtype, struct arena *arena, struct err *e)
{
    struct param_slot s;
    param_slot(&s, &p->cfg, i);
    bool head = !strcmp(s.name, "lm_head.weight");
    o->name = arena_printf(arena, e, "%s%s", head ? "" : "transformer.", s.name);
    if (!o->name)
        return ERR_LIMIT;
    float *from = a->flat + s.at;
    bool linear = p->cfg.ln == LN_LINEAR;
    if (linear && s.gamma) {
        double gain = p->cfg.ln_gain > 1 ? p->cfg.ln_gain : 1e6;
        from = arena_array(arena, (size_t)s.count, sizeof *from, e);
        if (!from)
            return ERR_LIMIT;
        for (int64_t k = 0; k < s.count; k++)
            from[k] = (float)((double)a->flat[s.at + k] * gain);
    }
    o->t = (struct tensor){.dtype = DT_F32, .rank = s.rank, .data = from};
    memcpy(o->t.dim, s.dim, sizeof s.dim);
    if (dtype == DT_F32 || (linear && !s.matrix))
        return 0;
    o->t.dtype = dtype;
    o->t.data = arena_array(arena, (size_t)s.count, dtype_bytes(dtype), e);
    if (!o->t.data)
        return ERR_LIMIT;
    tensor_narrow(o->t.data, from, dtype, s.count);
    return 0;
}

static int write_text(const char *path, const char *text, struct err *e)
{
    char part[4200];
    snprintf(part, sizeof part, "%s.part", path);
    FILE *f = fopen(part, "we");
    if (!f)
        return err_set(e, ERR_OUTPUT, "%s: %s", part, strerror(errno));
    bool bad = fputs(text, f) < 0 || fflush(f) || fsync(fileno(f));
    if (fclose(f) || bad || rename(part, path)) {
        err_set(e, ERR_OUTPUT, "%s: %s", path, strerror(errno));
        (void)unlink(part);
        return ERR_OUTPUT;
    }
    return 0;
}

int params_save(const char *folder, const struct params *p, enum dtype dtype, const char *metadata,
    struct err *e)
{
    struct arena arena = {0};
    char path[4096];
    int n = param_slots(&p->cfg);
    const struct param_arrays *a = params_arrays((struct params *)(uintptr_t)p);
    if (!a || (dtype != DT_F32 && dtype != DT_F16 && dtype != DT_BF16))
        return err_set(e, ERR_USAGE, "only a mutable copy can be saved, as F32, F16 or BF16");
    if ((size_t)snprintf(path, sizeof path, "%s/model.safetensors", folder) >= sizeof path)
        return err_set(e, ERR_USAGE, "the path is too long");
    struct weights_out *list = arena_array(&arena, (size_t)n, sizeof *list, e);
    int rc = list ? 0 : ERR_LIMIT;
    for (int i = 0; !rc && i < n; i++)
        rc = export_slot(&list[i], p, a, i, dtype, &arena, e);
    if (!rc)
        rc = weights_save(path, list, n, metadata, e);
    char *config = rc ? NULL : config_write(&p->cfg, &arena, e);
    if (!rc && !config)
        rc = ERR_LIMIT;
    if (!rc) {
        snprintf(path, sizeof path, "%.4000s/config.json", folder);
        rc = write_text(path, config, e);
    }
    arena_release(&arena);
    return rc;
}
