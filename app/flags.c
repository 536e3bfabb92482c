#include "app/flags.h"

#include <math.h>
#include <string.h>

#define TABLE(title, array)                                                                        \
    {                                                                                              \
        title, array, (int)(sizeof array / sizeof *array)                                          \
    }

static const struct param general[] = {
    {.name = "help", .letter = 'h', .type = PARAM_BOOL, .help = "show the help of this command"},
    {.name = "version", .letter = 'V', .type = PARAM_BOOL, .help = "show the version"},
    {.name = "quiet",
        .letter = 'q',
        .type = PARAM_BOOL,
        .help = "no progress and no notes on standard error, errors alone"},
    {.name = "progress",
        .type = PARAM_CHOICE,
        .def = "auto",
        .choices = "auto|plain|json|none",
        .help = "how progress is told on standard error: a bar on a terminal, else lines"},
    {.name = "color",
        .type = PARAM_CHOICE,
        .def = "auto",
        .choices = "auto|always|never|16|256|truecolor",
        .help = "colours; auto obeys the terminal and NO_COLOR"},
    {.name = "ascii", .type = PARAM_BOOL, .help = "draw with ASCII characters alone"},
};
const struct flag_table general_flags = TABLE("General flags", general);

static const struct param model[] = {
    {.name = "model",
        .letter = 'm',
        .type = PARAM_STRING,
        .def = "tiny",
        .metavar = "MODEL",
        .help = "a folder, a name in the hub cache or under $SONDE_MODELS, or tiny, the built-in "
                "model"},
};

static const struct param input[] = {
    {.name = "prompt",
        .letter = 'p',
        .type = PARAM_STRING,
        .metavar = "TEXT",
        .many = true,
        .help = "an input"},
    {.name = "file",
        .letter = 'f',
        .type = PARAM_FILE,
        .metavar = "FILE",
        .many = true,
        .help =
            "a .txt file is one input, a .jsonl file one a line (its field text); - is standard "
            "input; .gz and .zst are unpacked"},
    {.name = "lines", .type = PARAM_BOOL, .help = "every line of a text file is an input"},
    {.name = "tokens",
        .type = PARAM_STRING,
        .metavar = "IDS",
        .many = true,
        .help = "token ids as in 464,318,257; a semicolon begins the next input; never gets BOS"},
    {.name = "truncate",
        .type = PARAM_BOOL,
        .help = "cut inputs at the model's context instead of refusing them"},
    {.name = "dataset",
        .type = PARAM_STRING,
        .metavar = "NAME[:N]",
        .help = "the first N inputs of a built-in prompt set"},
    {.name = "prepend-bos",
        .type = PARAM_BOOL,
        .def = "true",
        .help = "put the BOS token before every text (not before --tokens)"},
};

static const struct param engine[] = {
    {.name = "threads",
        .letter = 't',
        .type = PARAM_INT,
        .metavar = "N",
        .min = 0,
        .max = 1024,
        .def = "0",
        .help = "threads; 0 takes the processors this process may use"},
    {.name = "max-mem",
        .type = PARAM_SIZE,
        .metavar = "SIZE",
        .def = "70%",
        .help = "memory a command may use, as in 8G or 70% of what the machine or the cgroup has"},
};

static const struct param output[] = {
    {.name = "output",
        .letter = 'o',
        .type = PARAM_FILE,
        .metavar = "FILE",
        .help = "write here; an existing file is replaced when the new one is complete"},
};

static const struct param edit[] = {
    {.name = "edit",
        .type = PARAM_STRING,
        .metavar = "TARGET[@POS]=OP",
        .many = true,
        .help = "an intervention, as in L9H6.z@-1=zero; TARGET is L9H6 (its z), L9H6.q, L3_mlp, "
                "L3_attn, L3N512 (a neuron), L3.resid_pre[17], embed or any hook; POS is 7, -1, "
                "3:9 (without the end), all without it, QUERY,KEY for a pattern; OP is zero, "
                "mean, resample:INPUT, from:TEXT (as in another text), scale:X, add:FILE.npy, "
                "add:X, set:FILE.npy or set:X"},
};

static const struct param seed[] = {
    {.name = "seed",
        .letter = 's',
        .type = PARAM_INT,
        .metavar = "N",
        .def = "0",
        .min = 0,
        .max = 9007199254740992,
        .help = "seed of every random choice"},
};

static const struct flag_table sets[] = {
    TABLE("Model", model),
    TABLE("Inputs", input),
    TABLE("Engine", engine),
    TABLE("Output", output),
    TABLE("Interventions", edit),
    TABLE("Randomness", seed),
};

const struct flag_table *flag_set_at(int bit)
{
    return &sets[bit];
}

bool flag_is(const char *name, const char *word, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char a = name[i] == '_' ? '-' : name[i], b = word[i] == '_' ? '-' : word[i];
        if (!a || a != b)
            return false;
    }
    return !name[n];
}
