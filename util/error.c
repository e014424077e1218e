/* SPDX-License-Identifier: Apache-2.0 */
#include "util/error.h"

#include "util/lock.h"

#include <stdarg.h>
#include <string.h>

/* glib makes its tables of errors at the first one: one thread at a time, and so that it is seen. */
static Mutex making = {PTHREAD_MUTEX_INITIALIZER};

/* G_DEFINE_QUARK keeps it in a variable that two threads with their first error race for. */
GQuark vmm_error_quark(void)
{
    return g_quark_from_static_string("vmm_error");
}

const char *error_words(int err)
{
    const char *words = strerrordesc_np(err);

    return words ? words : "unknown error";
}

/* err is an errno value whose words are appended, or 0. */
G_GNUC_PRINTF(4, 0)
static void set_error(GError **error, VmmError code, int err, const char *fmt, va_list ap)
{
    g_autofree char *message = g_strdup_vprintf(fmt, ap);

    mutex_lock(&making);
    if (err != 0) {
        g_set_error(error, VMM_ERROR, (int)code, "%s: %s", message, error_words(err));
    } else {
        g_set_error_literal(error, VMM_ERROR, (int)code, message);
    }
    mutex_unlock(&making);
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
