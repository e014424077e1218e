/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk over argv, and what every option has in common.
 */
#include "machine/options.h"

#include "machine/options_private.h"
#include "util/error.h"
#include "util/text.h"

#include <string.h>

static const char *const group_titles[] = {
    [OPTION_GROUP_MACHINE] = "Machine",
    [OPTION_GROUP_BOOT] = "Boot and templates",
    [OPTION_GROUP_DEVICES] = "Devices and back ends",
    [OPTION_GROUP_CONTROL] = "Control channel and consoles",
    [OPTION_GROUP_PROCESS] = "Process and life cycle",
    [OPTION_GROUP_DEBUG] = "Debugging and information",
    [OPTION_GROUP_IGNORED] = "Accepted and without effect, for scripts made for other monitors",
};

static void *config_member(OptionsParser *parser, const Option *option)
{
    return (uint8_t *)parser->config + option->member;
}

bool option_set_true(OptionsParser *parser, const Option *option, const char *value, GError **error)
{
    (void)value;
    (void)error;
    *(bool *)config_member(parser, option) = true;
    return true;
}

bool option_set_string(OptionsParser *parser, const Option *option, const char *value,
                       GError **error)
{
    char **text = config_member(parser, option);

    if (value[0] == '\0' && option->argument != OPTION_WORDS) {
        return fail(error, VMM_ERROR_CONFIG, "the value is empty: expected %s", option->form);
    }
    g_free(*text);
    *text = g_strdup(value);
    return true;
}

bool option_add_bag(OptionsParser *parser, const Option *option, const char *value, GError **error)
{
    PropBag *bag = props_parse(value, option->implied_key, error);

    if (!bag) {
        return false;
    }
    g_ptr_array_add(*(GPtrArray **)config_member(parser, option), bag);
    return true;
}

bool option_ignore(OptionsParser *parser, const Option *option, const char *value, GError **error)
{
    (void)parser;
    (void)option;
    (void)value;
    (void)error;
    return true;
}

bool option_refuse(OptionsParser *parser, const Option *option, const char *value, GError **error)
{
    (void)parser;
    (void)value;
    return fail(error, VMM_ERROR_CONFIG, "not supported: %s", option->help);
}

bool option_help(OptionsParser *parser, const Option *option, const char *value, GError **error)
{
    (void)option;
    (void)value;
    (void)error;
    parser->outcome->text = options_help();
    return true;
}

bool option_version(OptionsParser *parser, const Option *option, const char *value, GError **error)
{
    (void)option;
    (void)value;
    (void)error;
    parser->outcome->text = g_strdup_printf("%s\n", options_version());
    return true;
}

bool option_dump_state(OptionsParser *parser, const Option *option, const char *value,
                       GError **error)
{
    OptionsOutcome *outcome = parser->outcome;

    (void)option;
    if (!outcome->dump_state) {
        return fail(error, VMM_ERROR_CONFIG, "'%s' cannot be read here", value);
    }
    outcome->text = outcome->dump_state(value, error);
    return outcome->text != NULL;
}

bool option_dump_vmstate(OptionsParser *parser, const Option *option, const char *value,
                         GError **error)
{
    OptionsOutcome *outcome = parser->outcome;

    (void)option;
    (void)value;
    outcome->text = outcome->dump_vmstate ? outcome->dump_vmstate() : NULL;
    return outcome->text || fail(error, VMM_ERROR_CONFIG, "there is no state to describe");
}

bool option_apply(const char *value, const char *implied_key, const PropTable *table, void *ret,
                  GError **error)
{
    g_autoptr(PropBag) bag = props_parse(value, implied_key, error);

    return bag && props_apply(table, bag, ret, error);
}

/* The first letter decides nearly always, and this runs on the way of every restore. */
static bool is_named(const char *candidate, const char *name)
{
    return candidate && candidate[0] == name[0] && strcmp(candidate, name) == 0;
}

static const Option *option_find(const char *name)
{
    for (size_t i = 0; i < option_count; i++) {
        const Option *option = &option_table[i];

        if (is_named(option->name, name) || is_named(option->alias, name)) {
            return option;
        }
    }
    return NULL;
}

/* The option's name in argv's word: one dash or two, as people type them; NULL if it is none. */
static const char *option_word(const char *word)
{
    if (word[0] != '-' || word[1] == '\0') {
        return NULL;
    }
    return word[1] == '-' && word[2] != '\0' ? word + 2 : word + 1;
}

static bool fail_unknown(const char *word, GError **error)
{
    TextNearest nearest = TEXT_NEAREST(option_word(word));

    for (size_t i = 0; i < option_count; i++) {
        if (option_table[i].group != OPTION_GROUP_REFUSED) {
            text_nearest_offer(&nearest, option_table[i].name);
            text_nearest_offer(&nearest, option_table[i].alias);
        }
    }
    if (!nearest.best) {
        return fail(error, VMM_ERROR_CONFIG, "unknown option '%s'; -help lists them all", word);
    }
    return fail(error, VMM_ERROR_CONFIG, "unknown option '%s'; did you mean '-%s'?", word,
                nearest.best);
}

typedef struct Words {
    char **argv;
    int argc;
    int next;
} Words;

/* True if the next word is there and is not itself an option of the table. */
static bool has_value(const Words *words)
{
    if (words->next >= words->argc) {
        return false;
    }

    const char *name = option_word(words->argv[words->next]);

    return !name || !option_find(name);
}

/* What follows the option, newly allocated; *ret_value is NULL if nothing does. */
static bool take_value(Words *words, const Option *option, char **ret_value, GError **error)
{
    g_autoptr(GString) value = NULL;

    *ret_value = NULL;
    if (option->argument == OPTION_FLAG) {
        return true;
    }
    if (!has_value(words)) {
        return option->argument == OPTION_OPTIONAL ||
               fail(error, VMM_ERROR_CONFIG, "needs a value: %s", option->form);
    }
    value = g_string_new(words->argv[words->next++]);
    while (option->argument == OPTION_WORDS && words->next < words->argc &&
           words->argv[words->next][0] != '-') {
        g_string_append_c(value, ' ');
        g_string_append(value, words->argv[words->next++]);
    }
    *ret_value = g_string_free(g_steal_pointer(&value), /* free_segment= */ FALSE);
    return true;
}

static bool parse_option(OptionsParser *parser, Words *words, bool *seen, GError **error)
{
    const char *word = words->argv[words->next++];
    const char *name = option_word(word);
    const Option *option = name ? option_find(name) : NULL;
    g_autofree char *value = NULL;

    if (!name) {
        return fail(error, VMM_ERROR_CONFIG,
                    "unexpected word '%s': expected an option (a disk is -drive file=%s)", word,
                    word);
    }
    if (!option) {
        return fail_unknown(word, error);
    }
    if (seen[option - option_table] && !option->repeatable) {
        return fail(error, VMM_ERROR_CONFIG, "-%s: is given twice", option->name);
    }
    seen[option - option_table] = true;
    if (!take_value(words, option, &value, error) || !option->set(parser, option, value, error)) {
        g_prefix_error(error, "-%s: ", option->name);
        return false;
    }
    return true;
}

static bool options_finish(OptionsParser *parser, GError **error)
{
    if (!options_finish_machine(parser, error)) {
        return false;
    }
    options_finish_memory(parser);
    return options_finish_numa(parser, error) && options_finish_serial(parser, error);
}

static void parser_fini(OptionsParser *parser)
{
    prop_bag_free(parser->machine);
    g_ptr_array_unref(parser->numa);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(OptionsParser, parser_fini)

static void numa_bag_destroy(void *bag)
{
    prop_bag_free(bag);
}

bool options_parse(int argc, char **argv, VmConfig *config, OptionsOutcome *ret_outcome,
                   GError **error)
{
    g_auto(OptionsParser) parser = {
        .config = config,
        .outcome = ret_outcome,
        .machine = prop_bag_new("type"),
        .numa = g_ptr_array_new_with_free_func(numa_bag_destroy),
    };
    g_autofree bool *seen = g_new0(bool, option_count);
    Words words = {.argv = argv, .argc = argc, .next = 1};

    ret_outcome->text = NULL;
    while (words.next < argc) {
        if (!parse_option(&parser, &words, seen, error)) {
            return false;
        }
        if (ret_outcome->text) {
            return true;
        }
    }
    return options_finish(&parser, error);
}

#define HELP_INDENT  "        "
#define HELP_COLUMNS 80

/* Words of text in lines of HELP_COLUMNS, each indented. */
static void append_wrapped(GString *out, const char *text)
{
    size_t column = HELP_COLUMNS;

    while (*text != '\0') {
        size_t len = strcspn(text, " ");

        if (column + 1 + len > HELP_COLUMNS) {
            g_string_append(out, "\n" HELP_INDENT);
            column = strlen(HELP_INDENT);
        } else {
            g_string_append_c(out, ' ');
            column++;
        }
        g_string_append_len(out, text, (gssize)len);
        column += len;
        text += len + (text[len] == ' ');
    }
    g_string_append_c(out, '\n');
}

static void append_option_help(GString *text, const Option *option)
{
    g_string_append_printf(text, "  -%s", option->name);
    if (option->alias) {
        g_string_append_printf(text, ", -%s", option->alias);
    }
    if (option->form) {
        g_string_append_printf(text, " %s", option->form);
    }

    g_autofree char *help = option->default_text ? g_strdup_printf("%s (default: %s)", option->help,
                                                                   option->default_text)
                                                 : g_strdup(option->help);

    append_wrapped(text, help);
}

const char *options_name(size_t index)
{
    for (size_t i = 0; i < option_count; i++) {
        OptionGroup group = option_table[i].group;

        if (group != OPTION_GROUP_IGNORED && group != OPTION_GROUP_REFUSED && index-- == 0) {
            return option_table[i].name;
        }
    }
    return NULL;
}

char *options_help(void)
{
    GString *text = g_string_new(NULL);

    g_string_append_printf(text,
                           "%s\n"
                           "Usage: stencil [OPTION]...   (one dash or two)\n"
                           "Properties are comma-separated; a comma inside a value is doubled.\n"
                           "-machine, -cpu, -device, -object and -accel explain themselves: "
                           "-device help, -device TYPE,help\n",
                           options_version());
    for (size_t group = 0; group < G_N_ELEMENTS(group_titles); group++) {
        g_string_append_printf(text, "\n%s:\n", group_titles[group]);
        for (size_t i = 0; i < option_count; i++) {
            if (option_table[i].group == group) {
                append_option_help(text, &option_table[i]);
            }
        }
    }
    return g_string_free(text, /* free_segment= */ FALSE);
}

const char *options_version(void)
{
    return "Stencil VMM version " STENCIL_VERSION;
}
