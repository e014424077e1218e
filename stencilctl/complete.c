/* SPDX-License-Identifier: Apache-2.0 */
#include "stencilctl/complete.h"

#include "stencilctl/verbs.h"

#include <string.h>

const char *const complete_builtins[] = {"help", "exit", NULL};

typedef struct Candidates {
    GPtrArray *words;
    const char *typed;  /* what they must begin with */
    const char *before; /* each one's beginning, which the names do not have */
    size_t before_len;
    const char *after;
} Candidates;

/* Names come from the VM: one that would steer the terminal is not offered. */
static bool is_plain(const char *name)
{
    return name[strspn(
               name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] == '\0';
}

static void offer(void *opaque, const char *name)
{
    const Candidates *c = opaque;
    g_autofree char *word =
        g_strdup_printf("%.*s%s%s", (int)c->before_len, c->before, name, c->after);

    if (is_plain(name) && g_str_has_prefix(word, c->typed)) {
        g_ptr_array_add(c->words, g_steal_pointer(&word));
    }
}

static void offer_first_words(const Schema *schema, Candidates *c)
{
    for (size_t i = 0; i < verb_count; i++) {
        if (!verb_table[i].not_in_shell && !schema_has_command(schema, verb_table[i].name)) {
            offer(c, verb_table[i].name);
        }
    }
    for (size_t i = 0; complete_builtins[i]; i++) {
        offer(c, complete_builtins[i]);
    }
    schema_each_command(schema, offer, c);
}

/* "key=wor": the words that the argument can be. */
static void offer_values(const Schema *schema, const char *type, const char *equals, Candidates *c)
{
    g_autofree char *key = g_strndup(c->typed, (gsize)(equals - c->typed));

    c->before = c->typed;
    c->before_len = (size_t)(equals + 1 - c->typed);
    schema_each_word(schema, schema_member(schema, type, key), offer, c);
}

/* "outer.inn": the members of the object there. */
static void offer_arguments(const Schema *schema, const char *type, Candidates *c)
{
    const char *dot = strrchr(c->typed, '.');

    if (dot) {
        g_autofree char *path = g_strndup(c->typed, (gsize)(dot - c->typed));

        type = schema_member(schema, type, path);
        c->before = c->typed;
        c->before_len = (size_t)(dot + 1 - c->typed);
    }
    c->after = "=";
    schema_each_member(schema, type, offer, c);
}

static void offer_later_words(const Schema *schema, const char *command, Candidates *c)
{
    const char *type = schema_arguments(schema, command);
    const char *equals = strchr(c->typed, '=');

    if (strcmp(command, "help") == 0) {
        schema_each_command(schema, offer, c);
    } else if (strcmp(command, "wait") == 0) {
        schema_each_word(schema,
                         schema_member(schema, schema_result(schema, "query-status"), "status"),
                         offer, c);
    } else if (equals) {
        offer_values(schema, type, equals, c);
    } else {
        offer_arguments(schema, type, c);
    }
}

static int compare(gconstpointer a, gconstpointer b)
{
    const char *const *left = a;
    const char *const *right = b;

    return strcmp(*left, *right);
}

GPtrArray *complete_line(const Schema *schema, const char *text, size_t *ret_start)
{
    const char *blank = strrchr(text, ' ');
    size_t lead = strspn(text, " ");
    g_autofree char *command = g_strndup(text + lead, strcspn(text + lead, " "));
    Candidates c = {
        .words = g_ptr_array_new_with_free_func(g_free),
        .typed = blank ? blank + 1 : text,
        .before = "",
        .after = "",
    };

    *ret_start = (size_t)(c.typed - text);
    if (*ret_start <= lead) {
        offer_first_words(schema, &c);
    } else {
        offer_later_words(schema, command, &c);
    }
    g_ptr_array_sort(c.words, compare);
    return c.words;
}
