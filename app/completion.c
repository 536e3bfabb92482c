#include "app/completion.h"

#include <string.h>

#include "app/command.h"
#include "app/flags.h"

/* Calls fn for every flag a verb takes; those of analyses too where it runs them. */
static void each_flag(FILE *out, const struct verb *v,
    void (*fn)(FILE *out, const struct verb *v, const struct param *p))
{
    for (int i = 0; i < v->n_params; i++)
        fn(out, v, &v->params[i]);
    for (int s = 0; s < FLAG_SETS; s++)
        for (int i = 0; v->sets >> s & 1 && i < flag_set_at(s)->n; i++)
            fn(out, v, &flag_set_at(s)->params[i]);
    for (int a = 0; v->operand == OPERAND_ANALYSIS && a < n_analyses; a++)
        for (int i = 0; i < analyses[a]->n_params; i++)
            fn(out, v, &analyses[a]->params[i]);
    for (int i = 0; i < general_flags.n; i++)
        fn(out, v, &general_flags.params[i]);
}

static void words_of(FILE *out, const char *choices)
{
    for (const char *c = choices; c && *c; c++)
        fputc(*c == '|' ? ' ' : *c, out);
}

static void operand_words(FILE *out, const struct verb *v)
{
    if (v->operand == OPERAND_CHOICE)
        words_of(out, v->choices);
    for (int i = 0; v->operand == OPERAND_VERB && i < n_verbs; i++)
        fprintf(
            out, "%s%s", verbs[i]->is_hidden ? "" : verbs[i]->name, verbs[i]->is_hidden ? "" : " ");
    /* Help is given on either. */
    for (int a = 0;
         (v->operand == OPERAND_ANALYSIS || v->operand == OPERAND_VERB) && a < n_analyses; a++)
        fprintf(out, "%s%s", a ? " " : "", analyses[a]->id);
}

static void bash_flag(FILE *out, const struct verb *v, const struct param *p)
{
    (void)v;
    fprintf(out, " --%s", p->name);
    if (p->letter)
        fprintf(out, " -%c", p->letter);
}

/* A case of the previous word: what may follow a flag. */
static void bash_value(FILE *out, const struct verb *v, const struct param *p)
{
    (void)v;
    if (p->type == PARAM_BOOL)
        return;
    fprintf(out, "    --%s", p->name);
    if (p->letter)
        fprintf(out, "|-%c", p->letter);
    fputs(") ", out);
    if (p->choices) {
        fputs("COMPREPLY=($(compgen -W '", out);
        words_of(out, p->choices);
        fputs("' -- \"$cur\")); return;;\n", out);
    } else if (!strcmp(p->name, "model")) {
        fputs(
            "COMPREPLY=($(compgen -W \"$(sonde list models --names 2>/dev/null)\" -d -- \"$cur\"));"
            " return;;\n",
            out);
    } else {
        fputs("COMPREPLY=($(compgen -f -- \"$cur\")); return;;\n", out);
    }
}

static void bash(FILE *out)
{
    fputs("# bash completion for sonde\n"
          "_sonde() {\n"
          "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= w\n"
          "  for w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
          "    case $w in -*) ;; *) verb=$w; break;; esac\n"
          "  done\n"
          "  case $verb in\n",
        out);
    for (int i = 0; i < n_verbs; i++) {
        const struct verb *v = verbs[i];
        if (v->is_hidden)
            continue;
        fprintf(out, "  %s)\n    case $prev in\n", v->name);
        each_flag(out, v, bash_value);
        fputs("    esac\n    if [[ $cur == -* ]]; then\n      COMPREPLY=($(compgen -W '", out);
        each_flag(out, v, bash_flag);
        fputs("' -- \"$cur\"))\n", out);
        if (v->operand == OPERAND_FILE) {
            fputs("    else\n      COMPREPLY=($(compgen -f -- \"$cur\"))\n", out);
        } else if (v->operand != OPERAND_NONE) {
            /* Names behind a comma complete too. */
            fputs("    else\n      local head=\n"
                  "      [[ $cur == *,* ]] && head=${cur%,*},\n"
                  "      COMPREPLY=($(compgen -P \"$head\" -W '",
                out);
            operand_words(out, v);
            fputs("' -- \"${cur##*,}\"))\n", out);
        }
        fputs("    fi;;\n", out);
    }
    fputs("  *) COMPREPLY=($(compgen -W '", out);
    for (int i = 0; i < n_verbs; i++)
        if (!verbs[i]->is_hidden)
            fprintf(out, "%s ", verbs[i]->name);
    fputs("--help --version --model --prompt' -- \"$cur\"));;\n"
          "  esac\n"
          "}\n"
          "complete -o filenames -F _sonde sonde\n",
        out);
}

/* Text inside single quotes; `also` is escaped by a backslash. */
static void quoted(FILE *out, const char *s, const char *also)
{
    for (; *s; s++) {
        if (*s == '\'')
            fputs("'\\''", out);
        else if (strchr(also, *s))
            fprintf(out, "\\%c", *s);
        else
            fputc(*s, out);
    }
}

static void zsh_flag(FILE *out, const struct verb *v, const struct param *p)
{
    (void)v;
    for (int letter = 0; letter <= (p->letter != 0); letter++) {
        fprintf(out, "      '%s", p->many ? "*" : "");
        if (letter)
            fprintf(out, "-%c[", p->letter);
        else
            fprintf(out, "--%s[", p->name);
        quoted(out, p->help, "[]:\\");
        fputc(']', out);
        if (p->choices) {
            fputs(":word:(", out);
            words_of(out, p->choices);
            fputc(')', out);
        } else if (!strcmp(p->name, "model")) {
            fputs(":model:_sonde_models", out);
        } else if (p->type == PARAM_FILE) {
            fputs(":file:_files", out);
        } else if (p->type != PARAM_BOOL) {
            fputs(":value: ", out);
        }
        fputs("' \\\n", out);
    }
}

static void zsh(FILE *out)
{
    fputs("#compdef sonde\n"
          "_sonde_models() { compadd -- $(sonde list models --names 2>/dev/null); _files -/ }\n"
          "_sonde() {\n"
          "  local -a commands\n"
          "  commands=(\n",
        out);
    for (int i = 0; i < n_verbs; i++) {
        if (verbs[i]->is_hidden)
            continue;
        fprintf(out, "    '%s:", verbs[i]->name);
        quoted(out, verbs[i]->brief, ":\\");
        fputs("'\n", out);
    }
    fputs("  )\n"
          "  if (( CURRENT == 2 )); then _describe command commands; return; fi\n"
          "  local verb=$words[2]\n"
          "  shift words; (( CURRENT-- ))\n"
          "  case $verb in\n",
        out);
    for (int i = 0; i < n_verbs; i++) {
        const struct verb *v = verbs[i];
        if (v->is_hidden)
            continue;
        fprintf(out, "  %s)\n    _arguments -s \\\n", v->name);
        each_flag(out, v, zsh_flag);
        if (v->operand == OPERAND_FILE || v->operand == OPERAND_NONE) {
            fprintf(out, "      '*:operand:%s';;\n", v->operand == OPERAND_FILE ? "_files" : " ");
        } else {
            fputs("      '*:operand:_sequence compadd - ", out);
            operand_words(out, v);
            fputs("';;\n", out);
        }
    }
    fputs("  esac\n}\n_sonde \"$@\"\n", out);
}

static void fish_flag(FILE *out, const struct verb *v, const struct param *p)
{
    fprintf(out, "complete -c sonde -n '__fish_seen_subcommand_from %s' -l %s", v->name, p->name);
    if (p->letter)
        fprintf(out, " -s %c", p->letter);
    if (p->type != PARAM_BOOL)
        fputs(p->type == PARAM_FILE ? " -rF" : " -x", out);
    if (p->choices) {
        fputs(" -a '", out);
        words_of(out, p->choices);
        fputc('\'', out);
    } else if (!strcmp(p->name, "model")) {
        fputs(" -a '(sonde list models --names 2>/dev/null) (__fish_complete_directories)'", out);
    }
    fputs(" -d '", out);
    for (const char *s = p->help; *s; s++)
        fprintf(out, *s == '\'' || *s == '\\' ? "\\%c" : "%c", *s);
    fputs("'\n", out);
}

static void fish(FILE *out)
{
    fputs("# fish completion for sonde\ncomplete -c sonde -f\n", out);
    for (int i = 0; i < n_verbs; i++) {
        const struct verb *v = verbs[i];
        if (v->is_hidden)
            continue;
        fprintf(out, "complete -c sonde -n __fish_use_subcommand -a %s -d '", v->name);
        quoted(out, v->brief, "\\");
        fputs("'\n", out);
        if (v->operand == OPERAND_FILE) {
            fprintf(out, "complete -c sonde -n '__fish_seen_subcommand_from %s' -F\n", v->name);
        } else if (v->operand != OPERAND_NONE) {
            fprintf(out, "complete -c sonde -n '__fish_seen_subcommand_from %s' -a '", v->name);
            operand_words(out, v);
            fputs("'\n", out);
        }
        each_flag(out, v, fish_flag);
    }
}

int completion_write(FILE *out, const char *shell, struct err *e)
{
    static const struct {
        const char *name;
        void (*write)(FILE *out);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (!strcmp(shells[i].name, shell)) {
            shells[i].write(out);
            return 0;
        }
    return err_set(
        e, ERR_USAGE, "no completion for the shell \"%.40s\"; give bash, zsh or fish", shell);
}
