/* SPDX-License-Identifier: Apache-2.0 */
#include "util/error.h"

#include <stdarg.h>

G_DEFINE_QUARK(vmm_error, vmm_error)

/* err is an errno value whose words are appended, or 0. */
G_GNUC_PRINTF(4, 0)
static void set_error(GError **error, VmmError code, int err, const char *fmt, va_list ap)
{
    g_autofree char *message = g_strdup_vprintf(fmt, ap);

    if (err != 0) {
        g_set_error(error, VMM_ERROR, (int)code, "%s: %s", message, g_strerror(err));
    } else {
        g_set_error_literal(error, VMM_ERROR, (int)code, message);
    }
}

bool fail(GError **error, VmmError code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_error(error, code, /* err= */ 0, fmt, ap);
    va_end(ap);
    return false;
}

bool fail_errno(GError **error, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_error(error, VMM_ERROR_HOST, err, fmt, ap);
    va_end(ap);
    return false;
}

void *fail_null(GError **error, VmmError code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_error(error, code, /* err= */ 0, fmt, ap);
    va_end(ap);
    return NULL;
}

void *fail_errno_null(GError **error, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_error(error, VMM_ERROR_HOST, err, fmt, ap);
    va_end(ap);
    return NULL;
}
