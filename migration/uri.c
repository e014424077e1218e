/* SPDX-License-Identifier: Apache-2.0 */
#include "migration/uri.h"

#include "util/error.h"

#define FILE_SCHEME "file:"

bool migration_uri_parse(const char *text, MigrationUri *ret_uri, GError **error)
{
    const char *path;

    if (!g_str_has_prefix(text, FILE_SCHEME)) {
        return fail(error, VMM_ERROR_CONFIG, "unknown migration protocol: %s", text);
    }
    path = text + strlen(FILE_SCHEME);
    if (*path == '\0') {
        return fail(error, VMM_ERROR_CONFIG, "'%s': expected file:DIR, the template's folder",
                    text);
    }
    if (strstr(path, ",offset=")) {
        return fail(error, VMM_ERROR_CONFIG,
                    "'%s': a template is a folder and has no offset: expected file:DIR", text);
    }
    *ret_uri = (MigrationUri){.kind = MIGRATION_URI_TEMPLATE, .path = path};
    return true;
}
