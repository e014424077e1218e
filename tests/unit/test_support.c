/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/support.h"

#include "machine/options.h"
#include "tests/unit/suite.h"
#include "util/error.h"

#include <string.h>

/* True if the words parse and are supported; else the message is in *ret_message. */
static bool supported(const char *words, char **ret_message)
{
    g_autoptr(VmConfig) config = vm_config_new();
    g_autofree char *line = g_strdup_printf("stencil %s", words);
    g_auto(GStrv) argv = g_strsplit(line, " ", -1);
    g_autoptr(GError) error = NULL;
    OptionsOutcome outcome = {0};

    ck_assert(options_parse((int)g_strv_length(argv), argv, config, &outcome, &error));

    bool ok = support_check(config, &error);

    *ret_message = ok ? NULL : g_strdup(error->message);
    return ok;
}

START_TEST(an_ordinary_command_line_is_supported)
{
    g_autofree char *message = NULL;

    ck_assert(supported("-kernel k -append console=ttyS0 -serial stdio -sandbox off "
                        "-machine microvm,pit=off,pic=off -rtc base=utc",
                        &message));
}
END_TEST

START_TEST(what_is_not_there_is_refused_by_name)
{
    static const char *const cases[][2] = {
        {"-netdev tap,id=n0", "-netdev"},
        {"-dtb x.dtb", "-dtb"},
        {"-machine microvm,pit=on", "pit"},
        {"-machine microvm,pic=on", "pic"},
        {"-machine microvm,mem-merge=on", "mem-merge"},
        {"-rtc clock=vm", "-rtc"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *message = NULL;

        ck_assert_msg(!supported(cases[i][0], &message), "%s", cases[i][0]);
        ck_assert_msg(strstr(message, cases[i][1]) != NULL, "%s", message);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("support");

    tcase_add_test(tc, an_ordinary_command_line_is_supported);
    tcase_add_test(tc, what_is_not_there_is_refused_by_name);
    return suite_run("support", tc);
}
