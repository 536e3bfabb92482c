#include "app/inputs.h"
#include "model/core/json.h"
#include "model/core/text.h"
#include "model/tokenizer.h"

/* Bytes of output kept before they are written. */
#define BLOCK ((size_t)1 << 20)

static int flush(struct js_out *w, FILE *out, struct err *e)
{
    if (w->failed)
        return js_out_done(w, e);
    size_t n = w->n;
    w->n = 0;
    if (n && fwrite(w->data, 1, n, out) != n)
        return err_set(e, ERR_OUTPUT, "tokens: standard output cannot be written");
    return 0;
}

/* Ids that were given as such: their text is what they decode to. */
static int from_ids(struct encoding *out, const struct tokenizer *t, const struct source *from,
    struct arena *arena, struct err *e)
{
    size_t n = (size_t)from->n_ids;
    *out = (struct encoding){.n = from->n_ids};
    out->ids = arena_array(arena, n, sizeof *out->ids, e);
    out->begin = arena_array(arena, n, sizeof *out->begin, e);
    out->end = arena_array(arena, n, sizeof *out->end, e);
    if (!out->ids || !out->begin || !out->end)
        return ERR_LIMIT;
    int64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len;
        if (!tokenizer_bytes(t, from->ids[i], &len))
            return err_set(e, ERR_USAGE, "%s: there is no token %d; the vocabulary has %lld",
                from->where, from->ids[i], (long long)tokenizer_size(t));
        out->ids[i] = from->ids[i];
        out->begin[i] = at;
        at += (int64_t)len;
        out->end[i] = at;
    }
    return 0;
}

static int write_input(struct js_out *w, FILE *out, const struct tokenizer *t,
    const struct encoding *x, int64_t bos, struct err *e)
{
    int rc = 0;
    js_out_begin(w, '{');
    js_out_key(w, "ids");
    js_out_begin(w, '[');
    if (bos >= 0)
        js_out_int(w, bos);
    for (int64_t i = 0; i < x->n && rc == 0; i++) {
        js_out_int(w, x->ids[i]);
        rc = w->n > BLOCK ? flush(w, out, e) : 0;
    }
    js_out_end(w, ']');
    js_out_key(w, "tokens");
    js_out_begin(w, '[');
    if (bos >= 0)
        js_out_text(w, tokenizer_name(t, bos));
    for (int64_t i = 0; i < x->n && rc == 0; i++) {
        js_out_text(w, tokenizer_name(t, x->ids[i]));
        rc = w->n > BLOCK ? flush(w, out, e) : 0;
    }
    js_out_end(w, ']');
    js_out_key(w, "offsets");
    js_out_begin(w, '[');
    for (int64_t i = bos >= 0 ? -1 : 0; i < x->n && rc == 0; i++) {
        js_out_begin(w, '[');
        js_out_int(w, i < 0 ? 0 : x->begin[i]);
        js_out_int(w, i < 0 ? 0 : x->end[i]);
        js_out_end(w, ']');
        rc = w->n > BLOCK ? flush(w, out, e) : 0;
    }
    js_out_end(w, ']');
    js_out_end(w, '}');
    js_out_newline(w);
    return rc < 0 ? rc : flush(w, out, e);
}

static int run(struct session *s, const struct command *c, struct err *e)
{
    struct model *m;
    struct sources from = {0};
    struct js_out w = {0};
    int64_t invalid = 0, inputs = 0;
    /* Elsewhere BOS is the default; here a user wants to see his own text's tokens. */
    const struct param_value *flag = args_get(&c->args, "prepend-bos");
    int rc = session_model(&m, s, c, e);
    if (rc == 0 && !m->tokenizer)
        rc = err_set(e, ERR_INPUT, "%s has no tokenizer files, so text cannot be read", m->name);
    if (rc == 0)
        rc = sources_gather(&from, c, m, c->args.arena, e);
    if (rc < 0)
        return rc;
    int64_t bos = flag->is_set && flag->b ? m->bos_id : -1;
    if (flag->is_set && flag->b && bos < 0)
        session_note(s, "%s has no BOS token, so none is put before the text", m->name);
    if (!from.n)
        return err_set(e, ERR_USAGE, "tokens: give a text with -p or a file with -f");
    for (int i = 0; i < from.n && rc == 0; i++) {
        const struct source *one = &from.list[i];
        struct arena arena = {0};
        struct encoding x;
        rc = one->text ? tokenizer_encode(
                             &x, m->tokenizer, one->text, one->n_text, ENCODE_SPECIAL, &arena, e)
                       : from_ids(&x, m->tokenizer, one, &arena, e);
        if (rc == 0) {
            invalid += x.invalid;
            inputs += x.invalid > 0;
            rc = write_input(&w, s->out, m->tokenizer, &x, one->text ? bos : -1, e);
        }
        arena_release(&arena);
    }
    js_out_release(&w);
    if (rc == 0 && fflush(s->out))
        rc = err_set(e, ERR_OUTPUT, "tokens: standard output cannot be written");
    if (invalid)
        session_note(s, "%lld invalid byte sequence%s in %lld of %d input%s became U+FFFD",
            (long long)invalid, text_s(invalid), (long long)inputs, from.n, text_s(from.n));
    return rc;
}

const struct verb verb_tokens = {
    .name = "tokens",
    .brief = "ids, tokens and offsets of texts",
    .help = "One JSON line an input: \"ids\"; \"tokens\" as vocab.json writes them; \"offsets\", "
            "[begin, end) in bytes of the text, its leading space included, which tile it. BOS is "
            "put in front only with --prepend-bos. A line of a .jsonl file gives its field "
            "\"text\". Invalid UTF-8 becomes U+FFFD, and the offsets still count the bytes that "
            "were there.",
    .example = "  sonde tokens -p ' caf\xc3\xa9'\n"
               "  sonde tokens -m gpt2 -f corpus.jsonl | jq -c .ids",
    .sets = FLAGS_MODEL | FLAGS_INPUT,
    .operand = OPERAND_NONE,
    .run = run,
};
