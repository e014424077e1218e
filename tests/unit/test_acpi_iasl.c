/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The tables through the eyes of ACPICA, whose interpreter Linux uses: iasl takes each table apart,
 * and puts the DSDT together again, without an error or a warning.  Without iasl it is skipped.
 */

#include "tests/support/acpi_sample.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

#define SKIP 77

static char *run_iasl(const char *folder, const char *mode, const char *file)
{
    g_autofree char *command = g_strjoin(" ", "iasl", mode, file, NULL);
    g_auto(GStrv) argv = g_strsplit(command, " ", -1);
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    g_autoptr(GError) error = NULL;
    int status = 0;

    ck_assert_msg(g_spawn_sync(folder, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err,
                               &status, &error),
                  "%s", error == NULL ? "" : error->message);
    ck_assert_msg(status == 0, "%s failed:\n%s%s", command, out, err);
    return g_strconcat(out, err, NULL);
}

/* iasl marks its findings with "Error", "Warning", "Firmware"; its summary of none is "0 Errors". */
static void assert_clean(const char *name, const char *said)
{
    g_auto(GStrv) lines = g_strsplit(said, "\n", -1);

    for (char **line = lines; *line != NULL; line++) {
        bool is_summary = strstr(*line, " 0 Errors, 0 Warnings") != NULL;

        ck_assert_msg(is_summary ||
                          (strstr(*line, "Error") == NULL && strstr(*line, "Warning") == NULL &&
                           strstr(*line, "nvalid") == NULL),
                      "%s: iasl says: %s\n%s", name, *line, said);
    }
}

static void check_table(const char *folder, const uint8_t *table)
{
    g_autofree char *name = g_strndup((const char *)table, 4);
    g_autofree char *binary = g_strconcat(name, ".aml", NULL);
    g_autofree char *source = g_strconcat(name, ".dsl", NULL);
    g_autofree char *path = g_build_filename(folder, binary, NULL);
    g_autofree char *source_path = g_build_filename(folder, source, NULL);

    ck_assert(g_file_set_contents(path, (const char *)table, load_le32(table + 4), NULL));

    g_autofree char *taken_apart = run_iasl(folder, "-d", binary);

    assert_clean(name, taken_apart);
    if (strcmp(name, "DSDT") == 0) {
        g_autofree char *compiled = run_iasl(folder, "-vr", source); /* no remarks */

        assert_clean(name, compiled);
        ck_assert_msg(strstr(compiled, " 0 Errors, 0 Warnings") != NULL, "%s", compiled);
    } else {
        g_autofree char *text = NULL;

        ck_assert(g_file_get_contents(source_path, &text, NULL, NULL));
        assert_clean(name, text);
    }
    g_unlink(path);
    g_unlink(source_path);
}

static void check_set(const AcpiMicrovm *vm)
{
    static const char *const names[] = {"XSDT", "FACP", "DSDT", "APIC", "SRAT", "SLIT"};
    g_autofree char *folder = g_dir_make_tmp("stencil-iasl-XXXXXX", NULL);
    g_autoptr(GByteArray) set = acpi_microvm_build(vm);

    ck_assert_ptr_nonnull(folder);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const uint8_t *table = acpi_sample_table(set, names[i]);

        if (table != NULL) {
            check_table(folder, table);
        }
    }
    ck_assert_msg(g_rmdir(folder) == 0, "%s is not empty", folder);
}

START_TEST(acpica_accepts_the_tables_of_a_plain_vm)
{
    AcpiMicrovm vm = acpi_sample_plain();

    check_set(&vm);
}
END_TEST

START_TEST(acpica_accepts_the_tables_of_a_full_vm)
{
    AcpiMicrovm vm = acpi_sample_full();

    check_set(&vm);
}
END_TEST

int main(void)
{
    g_autofree char *iasl = g_find_program_in_path("iasl");

    if (iasl == NULL) {
        puts("skipped: iasl is not installed (package acpica-tools)");
        return SKIP;
    }

    TCase *tc = tcase_create("acpi_iasl");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, acpica_accepts_the_tables_of_a_plain_vm);
    tcase_add_test(tc, acpica_accepts_the_tables_of_a_full_vm);
    return suite_run("acpi_iasl", tc);
}
