#include <string.h>
#include <unistd.h>

#include "app/edits.h"
#include "app/inputs.h"
#include "app/signals.h"
#include "model/core/json.h"
#include "model/core/text.h"
#include "model/edit_from.h"
#include "model/generate.h"

/* Prints tokens as they come. */
struct printer {
    struct session *s;
    const struct tokenizer *tokenizer;
    struct decoder decoder;
    bool is_json, is_terminal, was_stopped;
    int64_t n, max_new; /* tokens so far, and at most */
};

static void print_text(const struct printer *p, const char *text, size_t n)
{
    char safe[1024];
    if (!p->is_terminal) {
        fwrite(text, 1, n, p->s->out);
    } else {
        text_escape(safe, sizeof safe, text, n, TEXT_RAW_SPACE);
        fputs(safe, p->s->out);
    }
    fflush(p->s->out);
}

static int each(void *arg, const struct step *step)
{
    struct printer *p = arg;
    if (!p->is_json) {
        size_t n, done = 0;
        const char *bytes = p->tokenizer ? tokenizer_bytes(p->tokenizer, step->token, &n) : NULL;
        char out[128];
        if (!bytes)
            fprintf(p->s->out, "%d ", step->token);
        /* Pieces of a long token keep the output buffer small. */
        for (; bytes && done < n; done += n - done < 64 ? n - done : 64)
            print_text(p, out,
                decoder_push(
                    &p->decoder, out, sizeof out, bytes + done, n - done < 64 ? n - done : 64));
    }
    p->was_stopped = progress_quiet(&p->s->progress, (double)++p->n, (double)p->max_new);
    return p->was_stopped;
}

/* Within the pass of a token. */
static int on_pass(void *arg, double done, double total)
{
    const struct printer *p = arg;
    return progress_quiet(&p->s->progress, (double)p->n + done / total, (double)p->max_new);
}

static void json_list(struct js_out *w, const char *key, const struct generation *g, int what)
{
    js_out_key(w, key);
    js_out_begin(w, '[');
    for (int64_t i = 0; i < g->n - g->n_prompt; i++) {
        const struct step *step = &g->steps[i];
        if (what == 0)
            js_out_int(w, step->token);
        else if (what == 1)
            js_out_real(w, step->logprob, 9);
        else if (what == 2)
            js_out_real(w, step->entropy, 9);
        else
            js_out_int(w, step->rank);
    }
    js_out_end(w, ']');
}

static int print_json(struct session *s, const struct generation *g, const struct input *in,
    const struct model *m, struct arena *arena, struct err *e)
{
    struct js_out w = {0};
    js_out_begin(&w, '{');
    js_out_key(&w, "prompt");
    js_out_text(&w, in->text);
    js_out_key(&w, "prompt_ids");
    js_out_begin(&w, '[');
    for (int64_t i = 0; i < g->n_prompt; i++)
        js_out_int(&w, g->tokens[i]);
    js_out_end(&w, ']');
    if (m->tokenizer) {
        size_t n;
        char *text = tokenizer_decode(
            m->tokenizer, g->tokens + g->n_prompt, g->n - g->n_prompt, &n, arena, e);
        if (!text) {
            js_out_release(&w);
            return e->code;
        }
        js_out_key(&w, "text");
        js_out_string(&w, text, n);
    }
    json_list(&w, "ids", g, 0);
    json_list(&w, "logprob", g, 1);
    json_list(&w, "entropy", g, 2);
    json_list(&w, "rank", g, 3);
    js_out_key(&w, "context_full");
    js_out_bool(&w, g->context_full);
    js_out_end(&w, '}');
    js_out_newline(&w);
    int rc = js_out_done(&w, e);
    if (!rc)
        fwrite(w.data, 1, w.n, s->out);
    js_out_release(&w);
    return rc;
}

static struct sampling sampling_of(const struct command *c)
{
    const struct args *a = &c->args;
    struct sampling s = {.temperature = args_float(a, "temperature"),
        .top_k = args_int(a, "top-k"),
        .top_p = args_float(a, "top-p"),
        .repetition = args_float(a, "repetition-penalty"),
        .seed = (uint64_t)args_int(a, "seed")};
    bool asks = args_get(a, "temperature")->is_set || args_get(a, "top-k")->is_set ||
                args_get(a, "top-p")->is_set;
    s.greedy = args_get(a, "do-sample")->has ? !args_bool(a, "do-sample") : !asks;
    return s;
}

static int generate_one(struct session *s, const struct command *c, const struct model *m,
    const struct input *in, const struct edits *edits, size_t max_bytes, struct err *e)
{
    struct arena arena = {0};
    int64_t max_new = args_int(&c->args, "max-new-tokens");
    int64_t stop = args_bool(&c->args, "stop-at-eos") ? m->cfg.eos_id : -1;
    struct sampling how = sampling_of(c);
    struct printer p = {.s = s,
        .tokenizer = m->tokenizer,
        .is_json = args_bool(&c->args, "json"),
        .is_terminal = isatty(fileno(s->out)),
        .max_new = max_new};
    struct generation g = {
        .n_prompt = in->n, .progress = on_pass, .progress_arg = &p, .max_bytes = max_bytes};
    g.tokens = arena_array(&arena, (size_t)(in->n + max_new), sizeof *g.tokens, e);
    g.steps = arena_array(&arena, (size_t)max_new, sizeof *g.steps, e);
    if (!g.tokens || !g.steps) {
        arena_release(&arena);
        return ERR_LIMIT;
    }
    memcpy(g.tokens, in->tokens, (size_t)in->n * sizeof *g.tokens);
    if (!p.is_json && in->text)
        print_text(&p, in->text, strlen(in->text));
    int rc = generate(&g, m->params, max_new, stop, &how, edits, args_bool(&c->args, "use-cache"),
        each, &p, s->pool, e);
    if (!rc && p.is_json) {
        rc = print_json(s, &g, in, m, &arena, e);
    } else if (!p.is_json) {
        char rest[16];
        print_text(&p, rest, decoder_flush(&p.decoder, rest, sizeof rest));
        fputc('\n', s->out);
    }
    if (!rc && g.context_full)
        session_note(s, "the context of %d tokens is full", m->cfg.n_ctx);
    arena_release(&arena);
    return rc || !p.was_stopped ? rc : err_set(e, ERR_CANCEL, "interrupted");
}

/* Mean and resample edits take their values from the prompts themselves. */
static int resolve(struct edits *edits, const struct inputs *in, const struct model *m,
    struct session *s, const struct command *c, size_t max_bytes, struct arena *arena,
    struct err *e)
{
    int64_t total = 0, *offset = arena_array(arena, (size_t)in->n + 1, sizeof *offset, e);
    if (!offset)
        return ERR_LIMIT;
    for (int i = 0; i < in->n; i++) {
        offset[i] = total;
        total += in->list[i].n;
    }
    offset[in->n] = total;
    int32_t *tokens = arena_array(arena, (size_t)total, sizeof *tokens, e);
    if (!tokens)
        return ERR_LIMIT;
    for (int i = 0; i < in->n; i++)
        memcpy(tokens + offset[i], in->list[i].tokens, (size_t)in->list[i].n * sizeof *tokens);
    struct batch reference = {tokens, offset, in->n};
    struct edits typed = *edits;
    struct forward_opts how = {.pool = s->pool,
        .progress = progress_quiet,
        .progress_arg = &s->progress,
        .max_bytes = max_bytes};
    bool bos = args_bool(&c->args, "prepend-bos");
    struct edits ready;
    if (edits_from_texts(&ready, &reference, &typed, m, bos, arena, e))
        return e->code;
    return edits_resolve(edits, &ready, m->params, &reference, &how, arena, e);
}

static int run(struct session *s, const struct command *c, struct err *e)
{
    struct arena *arena = c->args.arena;
    struct model *m;
    struct inputs in;
    struct edits edits;
    size_t max_bytes = 0;
    int rc = session_model(&m, s, c, e);
    if (!rc)
        rc = session_budget(&max_bytes, c, m, e);
    if (!rc)
        rc = inputs_load(&in, s, c, m, arena, e);
    if (!rc)
        rc = edits_load(&edits, c, m, arena, e);
    if (!rc && edits.n)
        rc = resolve(&edits, &in, m, s, c, max_bytes, arena, e);
    for (int i = 0; !rc && i < in.n; i++)
        rc = generate_one(s, c, m, &in.list[i], &edits, max_bytes, e);
    return rc;
}

static const struct param params[] = {
    {.name = "max-new-tokens",
        .letter = 'n',
        .type = PARAM_INT,
        .def = "20",
        .min = 1,
        .max = 1000000,
        .help = "new tokens at most"},
    {.name = "do-sample",
        .type = PARAM_BOOL,
        .help = "draw the tokens; without it the likeliest is taken, unless --temperature, --top-k "
                "or --top-p is given"},
    {.name = "temperature",
        .type = PARAM_FLOAT,
        .def = "1",
        .min = 0,
        .max = 100,
        .help = "divides the logits; 0 takes the likeliest"},
    {.name = "top-k",
        .type = PARAM_INT,
        .def = "0",
        .min = 0,
        .max = 10000000,
        .help = "draw from the K likeliest; 0 is no cut"},
    {.name = "top-p",
        .type = PARAM_FLOAT,
        .def = "1",
        .min = 0,
        .max = 1,
        .help = "draw from the smallest set with this probability"},
    {.name = "repetition-penalty",
        .type = PARAM_FLOAT,
        .def = "1",
        .min = 0.01,
        .max = 100,
        .help = "divides the positive logits of tokens that are there already"},
    {.name = "stop-at-eos",
        .type = PARAM_BOOL,
        .def = "true",
        .help = "stop at the end-of-text token"},
    {.name = "use-cache",
        .type = PARAM_BOOL,
        .def = "true",
        .help = "keep keys and values instead of running the whole text for every token"},
    {.name = "json",
        .type = PARAM_BOOL,
        .help = "one JSON line an input: text, ids, and log-probability, entropy (nats) and rank "
                "of each new token"},
};

const struct verb verb_generate = {
    .name = "generate",
    .brief = "continue texts",
    .help = "Writes the prompt and its continuation as it comes. The same seed gives the same text "
            "on any number of threads. Edits hold for every step; their negative positions count "
            "from the end of the prompt.",
    .example = "  sonde generate -p 'Tobin lives in' -n 30\n"
               "  sonde generate -m gpt2 -p 'The' --temperature 0.8 --top-p 0.95 -s 7",
    .sets = FLAGS_MODEL | FLAGS_INPUT | FLAGS_EDIT | FLAGS_SEED | FLAGS_ENGINE,
    .params = params,
    .n_params = (int)(sizeof params / sizeof *params),
    .operand = OPERAND_NONE,
    .run = run,
};
