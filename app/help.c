#include "app/help.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "app/flags.h"

#define WIDTH 88
#define INDENT 28

static const char *metavar(const struct param *p)
{
    static const char *const of_type[] = {[PARAM_BOOL] = "",
        [PARAM_INT] = "N",
        [PARAM_FLOAT] = "X",
        [PARAM_STRING] = "TEXT",
        [PARAM_CHOICE] = "WORD",
        [PARAM_LIST] = "LIST",
        [PARAM_TOKEN] = "TOKEN",
        [PARAM_FILE] = "FILE",
        [PARAM_SIZE] = "SIZE"};
    return p->metavar ? p->metavar : of_type[p->type];
}

int help_flag(char *buf, size_t n, const struct param *p)
{
    char letter[8] = "    ";
    if (p->letter)
        snprintf(letter, sizeof letter, "-%c, ", p->letter);
    if (p->type == PARAM_BOOL)
        return snprintf(
            buf, n, "%s--%s%s", letter, p->def && !strcmp(p->def, "true") ? "[no-]" : "", p->name);
    return snprintf(buf, n, "%s--%s %s", letter, p->name, metavar(p));
}

void help_facts(char *buf, size_t n, const struct param *p)
{
    size_t at = 0;
    buf[0] = '\0';
    if (p->choices)
        at += (size_t)snprintf(buf + at, n - at, "%s", p->choices);
    else if (p->min != p->max && p->max < 1e15 && isfinite(p->min))
        at += (size_t)snprintf(buf + at, n - at, "%.15g to %.15g", p->min, p->max);
    else if (p->min != p->max && isfinite(p->min))
        at += (size_t)snprintf(buf + at, n - at, "at least %.15g", p->min);
    if (p->def && p->type != PARAM_BOOL && at < n)
        at += (size_t)snprintf(buf + at, n - at, "%sdefault %s", at ? "; " : "", p->def);
    if (p->many && at < n)
        snprintf(buf + at, n - at, "%srepeatable", at ? "; " : "");
}

/* Words of `text` from column `at` on, continued at column `indent`. */
static void wrap(FILE *out, const char *text, int at, int indent)
{
    while (*text) {
        int len = (int)strcspn(text, " ");
        if (at > indent && at + 1 + len > WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            fputc(' ', out);
            at++;
        }
        fprintf(out, "%.*s", len, text);
        at += len;
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void print_flags(FILE *out, const char *title, const struct param *table, int n)
{
    char flag[128], facts[256], line[1024];
    if (!n)
        return;
    fprintf(out, "\n%s\n", title);
    for (int i = 0; i < n; i++) {
        int len = help_flag(flag, sizeof flag, &table[i]);
        help_facts(facts, sizeof facts, &table[i]);
        snprintf(line, sizeof line, "%s%s%s%s", table[i].help, *facts ? " (" : "", facts,
            *facts ? ")" : "");
        fprintf(out, "  %s", flag);
        if (2 + len + 2 > INDENT)
            fprintf(out, "\n%*s", INDENT, "");
        else
            fprintf(out, "%*s", INDENT - 2 - len, "");
        wrap(out, line, INDENT, INDENT);
    }
}

void help_all(FILE *out)
{
    fputs("sonde: look inside GPT-2-class language models, in the terminal.\n\n"
          "  sonde [-m MODEL] [-p TEXT]                     the workbench\n"
          "  sonde --resume                                 its last session again\n"
          "  sonde COMMAND [FLAGS]                          one answer, then back to the shell\n\n"
          "Commands\n",
        out);
    for (int i = 0; i < n_verbs; i++)
        if (!verbs[i]->is_hidden)
            fprintf(out, "  %-11s %s\n", verbs[i]->name, verbs[i]->brief);
    fputs("\nAnalyses, for sonde run\n", out);
    for (int i = 0; i < n_analyses; i++)
        fprintf(out, "  %-11s %s\n", analyses[i]->id, analyses[i]->title);
    for (int i = 0; i < n_verbs; i++)
        if (verbs[i]->is_hidden && verbs[i]->n_params)
            print_flags(out,
                "Flags of the workbench; those of run for models, inputs and edits go with it",
                verbs[i]->params, verbs[i]->n_params);
    print_flags(out, general_flags.title, general_flags.params, general_flags.n);
    fputs("\nTry\n"
          "  sonde run lens,dla -p 'When Mara and Tobin went to the harbour, Mara gave the lantern "
          "to'\n"
          "  sonde run lens --help\n\n"
          "Exit codes: 0 done, 1 the answer is no (diff, doctor), 2 bad usage, 3 bad input file,\n"
          "4 out of limits, 5 output could not be written, 130 interrupted.\n",
        out);
}

static void print_analysis(FILE *out, const struct analysis *a)
{
    fprintf(out, "\n%s: %s\n", a->id, a->title);
    if (a->help) {
        fputs("  ", out);
        wrap(out, a->help, 2, 2);
    }
    if (a->source) {
        fputs("  Source: ", out);
        wrap(out, a->source, 10, 10);
    }
    char title[96];
    snprintf(title, sizeof title, "Flags of %s", a->id);
    print_flags(out, title, a->params, a->n_params);
}

void help_command(FILE *out, const struct command *c)
{
    const struct verb *v = c->verb;
    if (v->is_hidden) {
        help_all(out);
        return;
    }
    fprintf(out, "sonde %s%s%s [FLAGS]\n", v->name, v->operands ? " " : "",
        v->operands ? v->operands : "");
    fprintf(out, "  %c%s.\n\n", toupper((unsigned char)v->brief[0]), v->brief + 1);
    if (v->help)
        wrap(out, v->help, 0, 0);
    if (v->example)
        fprintf(out, "\n%s\n", v->example);
    for (int i = 0; i < c->n_analyses; i++)
        print_analysis(out, c->analyses[i]);
    if (v->operand == OPERAND_ANALYSIS && !c->n_analyses) {
        fputs("\nAnalyses (their own flags: sonde run ANALYSIS --help)\n", out);
        for (int i = 0; i < n_analyses; i++)
            fprintf(out, "  %-11s %s\n", analyses[i]->id, analyses[i]->title);
    }
    char title[96];
    snprintf(title, sizeof title, "Flags of %s", v->name);
    print_flags(out, title, v->params, v->n_params);
    for (int s = 0; s < FLAG_SETS; s++)
        if (v->sets >> s & 1)
            print_flags(out, flag_set_at(s)->title, flag_set_at(s)->params, flag_set_at(s)->n);
    print_flags(out, general_flags.title, general_flags.params, general_flags.n);
}
