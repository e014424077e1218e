/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/template_config.h"

#include "machine/options.h"
#include "tests/unit/suite.h"
#include "util/error.h"

#include <json-c/json.h>
#include <string.h>

static VmConfig *parse(const char *line)
{
    g_autoptr(VmConfig) config = vm_config_new();
    g_autofree char *command = g_strconcat("stencil ", line, NULL);
    g_auto(GStrv) argv = NULL;
    OptionsOutcome outcome = {0};
    g_autoptr(GError) error = NULL;
    int argc;

    ck_assert(g_shell_parse_argv(command, &argc, &argv, NULL));
    ck_assert_msg(options_parse(argc, argv, config, &outcome, &error), "%s: %s", line,
                  error ? error->message : "");
    return g_steal_pointer(&config);
}

/* What a template of this command line says; the caller puts it. */
static json_object *template_of(const char *line)
{
    g_autoptr(VmConfig) config = parse(line);

    return vm_config_to_json(config);
}

#define ORIGINAL                                                                           \
    "-machine microvm -smp 2 -m 512M -kernel k -append a -cpu host,-avx "                  \
    "-drive file=a.img,id=d0,if=none,format=raw -device virtio-blk-device,drive=d0,id=b0 " \
    "-device virtio-rng-device -serial stdio"

/* ---- the same machine ---- */

static const char *const alike[] = {
    ORIGINAL,
    "-machine microvm,mem-share=on -smp 2 -m 512M -kernel other -cpu host,-avx -mem-prealloc "
    "-drive file=b.img,id=root,if=none,format=raw -device virtio-blk-device,drive=root,id=b0 "
    "-device virtio-rng-device",
};

START_TEST(what_only_the_host_sees_may_differ)
{
    json_object *saved = template_of(ORIGINAL);
    g_autoptr(VmConfig) config = parse(alike[_i]);
    g_autoptr(GError) error = NULL;

    ck_assert_msg(template_config_take(config, saved, &error), "%s", error ? error->message : "");
    json_object_put(saved);
}
END_TEST

static const struct {
    const char *line;
    const char *message;
} different[] = {
    {"-machine microvm,acpi=off -smp 4 -m 256M -kernel k -cpu host "
     "-device virtio-rng-device",
     "the VM differs from the template's: "
     "machine acpi: \"off\" here, nothing in the template; "
     "cpu feature: nothing here, \"-avx\" in the template; "
     "smp cpus: \"4\" here, \"2\" in the template; "
     "smp max_cpus: \"4\" here, \"2\" in the template; "
     "smp cores: \"4\" here, \"2\" in the template; "
     "memory size: \"256M\" here, \"512M\" in the template; "
     "memory maxmem: \"256M\" here, \"512M\" in the template; "
     "device 0 driver: \"virtio-rng-device\" here, \"virtio-blk-device\" in the template; "
     "device 0 id: nothing here, \"b0\" in the template; "
     "device 1: nothing here, {\"driver\":\"virtio-rng-device\"} in the template"},
};

START_TEST(what_the_guest_sees_must_not_and_every_difference_is_named)
{
    json_object *saved = template_of(ORIGINAL);
    g_autoptr(VmConfig) config = parse(different[_i].line);
    g_autoptr(GError) error = NULL;

    ck_assert(!template_config_take(config, saved, &error));
    ck_assert_str_eq(error->message, different[_i].message);
    json_object_put(saved);
}
END_TEST

/* ---- no machine at all ---- */

START_TEST(a_command_line_without_a_machine_becomes_the_templates)
{
    json_object *saved = template_of(ORIGINAL);
    g_autoptr(VmConfig) config = parse("-incoming file:t -qmp unix:/tmp/x,server,nowait");
    g_autoptr(GError) error = NULL;

    ck_assert_msg(template_config_take(config, saved, &error), "%s", error ? error->message : "");
    ck_assert_uint_eq(config->smp.cpus, 2);
    ck_assert_uint_eq(config->memory.size, UINT64_C(512) << 20);
    ck_assert_uint_eq(config->devices->len, 2);
    ck_assert_uint_eq(config->drives->len, 1);
    ck_assert_uint_eq(config->serials->len, 1);
    ck_assert_uint_eq(config->cpu.features->len, 1);
    ck_assert_str_eq(config->boot.kernel, "k");
    ck_assert_uint_eq(config->monitors->len, 1);
    ck_assert(vm_config_validate(config, &error));
    json_object_put(saved);
}
END_TEST

START_TEST(single_options_replace_single_back_ends)
{
    json_object *saved = template_of(ORIGINAL);
    g_autoptr(VmConfig) config =
        parse("-incoming file:t -drive file=clone.img,id=d0,if=none,format=raw -serial null");
    g_autoptr(GError) error = NULL;

    ck_assert_msg(template_config_take(config, saved, &error), "%s", error ? error->message : "");
    ck_assert_uint_eq(config->drives->len, 1);
    ck_assert_str_eq(prop_bag_get(config->drives->pdata[0], "file"), "clone.img");
    ck_assert_uint_eq(config->serials->len, 1);
    ck_assert_uint_eq(config->devices->len, 2);
    json_object_put(saved);
}
END_TEST

START_TEST(a_configuration_that_makes_no_sense_is_an_error)
{
    json_object *saved = json_tokener_parse("{\"smp\":{\"cpus\":\"many\"}}");
    g_autoptr(VmConfig) config = parse("-incoming file:t");
    g_autoptr(GError) error = NULL;

    ck_assert(!template_config_take(config, saved, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "smp"));
    json_object_put(saved);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("template_config");

    tcase_add_loop_test(tc, what_only_the_host_sees_may_differ, 0, G_N_ELEMENTS(alike));
    tcase_add_loop_test(tc, what_the_guest_sees_must_not_and_every_difference_is_named, 0,
                        G_N_ELEMENTS(different));
    tcase_add_test(tc, a_command_line_without_a_machine_becomes_the_templates);
    tcase_add_test(tc, single_options_replace_single_back_ends);
    tcase_add_test(tc, a_configuration_that_makes_no_sense_is_an_error);
    return suite_run("template_config", tc);
}
