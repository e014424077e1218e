/* SPDX-License-Identifier: Apache-2.0 */
#include "migration/uri.h"

#include "util/error.h"
#include "util/text.h"

#include <string.h>

#define OFFSET ",offset="

typedef struct Scheme {
    const char *prefix;
    const char *form;
    MigrationUriKind kind;
} Scheme;

static const Scheme schemes[] = {
    {"file:", "file:PATH, a template's folder or a file", MIGRATION_URI_FILE},
    {"fd:", "fd:NUMBER or fd:NAME, a descriptor", MIGRATION_URI_FD},
    {"exec:", "exec:COMMAND, a command of the shell's", MIGRATION_URI_EXEC},
};

/* What QEMU has besides. */
static const char *const others[] = {"tcp:", "unix:", "vsock:", "rdma:"};

/* The last one counts, as in QEMU: a path may have the same letters in it. */
static bool take_offset(MigrationUri *uri, GError **error)
{
    char *at = g_strrstr(uri->text, OFFSET);

    if (!at) {
        return true;
    }
    *at = '\0';
    uri->has_offset = true;
    return (text_parse_size(at + strlen(OFFSET), 1, &uri->offset) && uri->offset <= INT64_MAX) ||
           fail(error, VMM_ERROR_CONFIG, "file URI has bad offset %s: Invalid argument",
                at + strlen(OFFSET));
}

static MigrationUri *parse_as(const Scheme *scheme, const char *text, GError **error)
{
    g_autoptr(MigrationUri) uri = g_new0(MigrationUri, 1);

    uri->kind = scheme->kind;
    uri->text = g_strdup(text + strlen(scheme->prefix));
    if (scheme->kind == MIGRATION_URI_FILE && !take_offset(uri, error)) {
        return NULL;
    }
    if (uri->text[0] == '\0') {
        return fail_null(error, VMM_ERROR_CONFIG, "'%s': expected %s", text, scheme->form);
    }
    return g_steal_pointer(&uri);
}

MigrationUri *migration_uri_parse(const char *text, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
        if (g_str_has_prefix(text, schemes[i].prefix)) {
            return parse_as(&schemes[i], text, error);
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        if (g_str_has_prefix(text, others[i])) {
            return fail_null(error, VMM_ERROR_CONFIG,
                             "'%s': nothing is saved or loaded through %s here: connect, and pass "
                             "the descriptor with getfd and fd:NAME, or use exec: or file:",
                             text, others[i]);
        }
    }
    return fail_null(error, VMM_ERROR_CONFIG, "unknown migration protocol: %s", text);
}

void migration_uri_free(MigrationUri *uri)
{
    if (uri) {
        g_free(uri->text);
        g_free(uri);
    }
}

bool migration_uri_is_folder(const MigrationUri *uri, bool single_file)
{
    if (uri->kind != MIGRATION_URI_FILE || uri->has_offset) {
        return false;
    }
    if (g_str_has_suffix(uri->text, "/") || g_file_test(uri->text, G_FILE_TEST_IS_DIR)) {
        return true;
    }
    return !single_file && !g_file_test(uri->text, G_FILE_TEST_EXISTS) &&
           !g_str_has_prefix(uri->text, "/dev/fdset/");
}
