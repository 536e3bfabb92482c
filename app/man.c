#include "app/man.h"

#include <string.h>

#include "app/colon.h"
#include "app/command.h"
#include "app/flags.h"
#include "app/help.h"
#include "app/keys.h"
#include "model/sites.h"

/* Text in roff: backslashes and hyphens escaped, no line begins with a control character. */
static void text(FILE *out, const char *s)
{
    bool at_start = true;
    for (; *s; s++) {
        if (at_start && (*s == '.' || *s == '\''))
            fputs("\\&", out);
        at_start = *s == '\n';
        if (*s == '\\')
            fputs("\\e", out);
        else if (*s == '-')
            fputs("\\-", out);
        else
            fputc(*s, out);
    }
}

static void section(FILE *out, const char *title)
{
    fprintf(out, ".SH %s\n", title);
}

/* A paragraph with a bold tag and its text, which may have facts behind it. */
static void item(FILE *out, const char *tag, const char *body, const char *facts)
{
    fputs(".TP\n.B ", out);
    while (*tag == ' ')
        tag++;
    text(out, tag);
    fputc('\n', out);
    text(out, body);
    if (facts && *facts) {
        fputs(" (", out);
        text(out, facts);
        fputc(')', out);
    }
    fputs(".\n", out);
}

static void flags(FILE *out, const struct param *table, int n)
{
    char flag[128], facts[256];
    for (int i = 0; i < n; i++) {
        help_flag(flag, sizeof flag, &table[i]);
        help_facts(facts, sizeof facts, &table[i]);
        item(out, flag, table[i].help, facts);
    }
}

static void example(FILE *out, const char *lines)
{
    fputs(".PP\n.nf\n", out);
    text(out, lines);
    fputs("\n.fi\n", out);
}

static void verbs_section(FILE *out)
{
    section(out, "COMMANDS");
    for (int i = 0; i < n_verbs; i++) {
        const struct verb *v = verbs[i];
        if (v->is_hidden)
            continue;
        fprintf(out, ".SS sonde %s%s", v->name, v->operands && *v->operands ? " " : "");
        text(out, v->operands ? v->operands : "");
        fputc('\n', out);
        if (v->help) {
            text(out, v->help);
            fputc('\n', out);
        }
        flags(out, v->params, v->n_params);
        fputs(".PP\nAlso takes the general flags", out);
        for (int s = 0; s < FLAG_SETS; s++)
            if (v->sets >> s & 1)
                fprintf(out, ", %s", flag_set_at(s)->title);
        fputs(".\n", out);
        if (v->example)
            example(out, v->example);
    }
}

static void analyses_section(FILE *out)
{
    section(out, "ANALYSES");
    for (int i = 0; i < n_analyses; i++) {
        const struct analysis *a = analyses[i];
        fprintf(out, ".SS %s\n", a->id);
        text(out, a->title);
        fputs(".\n", out);
        text(out, a->help ? a->help : "");
        fputc('\n', out);
        if (a->source) {
            fputs("Source: ", out);
            text(out, a->source);
            fputs(".\n", out);
        }
        flags(out, a->params, a->n_params);
    }
}

static void keys_section(FILE *out)
{
    section(out, "KEYS");
    for (int i = 0; i < key_count(); i++) {
        const struct key_row *k = key_row(i);
        char tag[64];
        snprintf(tag, sizeof tag, "%s%s%s", k->key, *k->also ? ", " : "", k->also);
        item(out, tag, k->help, strcmp(k->pane, "any") ? k->pane : NULL);
    }
}

static void words_section(FILE *out)
{
    section(out, "WORDS OF THE WORKBENCH");
    fputs("Typed behind a colon, beside the commands above. Those that choose something are lines "
          "of the "
          "session log.\n",
        out);
    for (int i = 0; i < word_count(); i++) {
        const struct word *w = word_row(i);
        char tag[128];
        snprintf(tag, sizeof tag, ":%s%s%s", w->name, *w->arg ? " " : "", w->arg);
        item(out, tag, w->help, NULL);
    }
}

static void sites_section(FILE *out)
{
    section(out, "ACTIVATIONS");
    fputs("Hook names are those of TransformerLens; blocks.L. stands before the names of a "
          "layer.\n",
        out);
    for (int i = 0; i < SITE_COUNT; i++) {
        const struct site_info *s = site_info((enum site)i);
        char name[64], body[128];
        snprintf(name, sizeof name, "%s%s", s->per_layer ? "blocks.L." : "", s->name);
        snprintf(body, sizeof body, "%s, axes %s", s->brief, s->axes);
        item(out, name, body, NULL);
    }
}

static void rest(FILE *out)
{
    section(out, "ENVIRONMENT");
    item(out, "SONDE_MODELS", "a folder of model folders, searched by name", NULL);
    item(out, "HF_HUB_CACHE, HF_HOME", "where the Hugging Face hub cache is searched", NULL);
    item(out, "SONDE_CONFIG",
        "the configuration file, instead of sonde/config under XDG_CONFIG_HOME", NULL);
    item(out, "SONDE_KERNELS", "the kernel set to use instead of the best one: see sonde doctor",
        NULL);
    item(out, "NO_COLOR", "no colours unless asked for by --color", NULL);
    section(out, "EXIT STATUS");
    item(out, "0", "done", NULL);
    item(out, "1", "the answer is no (diff, doctor)", NULL);
    item(out, "2", "bad usage", NULL);
    item(out, "3", "bad input file", NULL);
    item(out, "4", "out of limits", NULL);
    item(out, "5", "output could not be written", NULL);
    item(out, "130", "interrupted; what was finished stays in FILE.part", NULL);
}

void man_write(FILE *out)
{
    fprintf(out, ".TH SONDE 1 \"\" \"sonde %s\" \"User Commands\"\n", SONDE_VERSION);
    section(out, "NAME");
    fputs("sonde \\- look inside GPT\\-2\\-class language models, in the terminal\n", out);
    section(out, "SYNOPSIS");
    fputs(".nf\n\\fBsonde\\fR [\\-m MODEL] [\\-p TEXT]\n", out);
    for (int i = 0; i < n_verbs; i++) {
        if (verbs[i]->is_hidden)
            continue;
        fprintf(out, "\\fBsonde %s\\fR ", verbs[i]->name);
        text(out, verbs[i]->operands ? verbs[i]->operands : "");
        fputs(verbs[i]->operands && *verbs[i]->operands ? " [FLAGS]\n" : "[FLAGS]\n", out);
    }
    fputs(".fi\n", out);
    section(out, "DESCRIPTION");
    text(out,
        "sonde maps a model from disk, runs it, and answers questions about what it did: in panes "
        "when a person is there, as an HDF5 report when nobody is. The command line, a batch file "
        "and the workbench's prompt speak one language; a flag may be written with - or with _, as "
        "--name VALUE or --name=VALUE, and a switch is turned off by --no-name.\n");
    verbs_section(out);
    analyses_section(out);
    section(out, "FLAGS");
    fprintf(out, ".SS %s\n", general_flags.title);
    flags(out, general_flags.params, general_flags.n);
    for (int s = 0; s < FLAG_SETS; s++) {
        fprintf(out, ".SS %s\n", flag_set_at(s)->title);
        flags(out, flag_set_at(s)->params, flag_set_at(s)->n);
    }
    keys_section(out);
    words_section(out);
    sites_section(out);
    rest(out);
}
