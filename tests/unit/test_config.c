/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/config.h"

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

    ck_assert_msg(g_shell_parse_argv(command, &argc, &argv, NULL), "%s", line);
    ck_assert_msg(options_parse(argc, argv, config, &outcome, &error), "%s: %s", line,
                  error ? error->message : "");
    return g_steal_pointer(&config);
}

static const struct {
    const char *line;
    const char *message;
} wrong[] = {
    {"", "machine microvm needs a -kernel to boot, or -incoming"},
    {"-initrd i", "-initrd needs a -kernel"},
    {"-append a -M none", "-append needs a -kernel"},
    {"-dtb d -incoming defer", "-dtb needs a -kernel"},

    {"-kernel k -m 512k", "-m: size is 512K: expected 1M to 4T"},
    {"-kernel k -m 0", "-m: size is 0: expected 1M to 4T"},
    {"-kernel k -m 5T", "-m: size is 5T: expected 1M to 4T"},
    {"-kernel k -m 2000001b", "-m: size is 2000001: expected whole pages of 4K"},
    {"-M q35 -m 2G,maxmem=1G", "-m: maxmem is smaller than size"},
    {"-M q35 -m 2G,maxmem=4G", "-m: slots and a maxmem above size need each other"},
    {"-M q35 -m 2G,slots=1", "-m: slots and a maxmem above size need each other"},
    {"-kernel k -m 2G,slots=1,maxmem=4G",
     "-m: machine microvm has no slots for memory: expected slots=0 and no maxmem"},

    {"-kernel k -smp 4,sockets=2,cores=1,threads=1",
     "-smp: sockets 2 * dies 1 * clusters 1 * cores 1 * threads 1 is 2: expected maxcpus, 4"},
    {"-kernel k -smp 5,sockets=2",
     "-smp: sockets 2 * dies 1 * clusters 1 * cores 2 * threads 1 is 4: expected maxcpus, 5"},
    {"-kernel k -smp 4,maxcpus=2",
     "-smp: 4 vCPUs of at most 2: expected 1 <= cpus <= maxcpus <= 254"},
    {"-kernel k -smp sockets=16,cores=16",
     "-smp: 256 vCPUs of at most 256: expected 1 <= cpus <= maxcpus <= 254"},
    {"-kernel k -smp 1,sockets=254,cores=254,threads=254",
     "-smp: sockets 254 * dies 1 * clusters 1 * cores 254 * threads 254 is 16387064: expected "
     "maxcpus, 1"},

    {"-kernel k -chardev null", "-chardev null: property 'id' is missing"},
    {"-kernel k -chardev null,id=0", "-chardev: id '0': expected a letter, then letters, digits, "
                                     "'-', '.' or '_'"},
    {"-kernel k -chardev null,id=a -chardev null,id=a", "-chardev: id 'a' is given twice"},
    {"-kernel k -chardev null,id=serial0 -serial null", "-chardev: id 'serial0' is given twice"},
    {"-kernel k -object iothread", "-object iothread: property 'id' is missing"},
    {"-kernel k -netdev tap", "-netdev tap: property 'id' is missing"},
    {"-kernel k -blockdev raw", "-blockdev raw: property 'node-name' is missing"},
    {"-kernel k -drive file=f,id=d -blockdev raw,node-name=d",
     "-blockdev: node-name 'd' is given twice"},
    {"-kernel k -device virtio-rng-device,id=x -device virtio-rng-device,id=x",
     "-device: id 'x' is given twice"},

    {"-kernel k -machine memory-backend=m",
     "-machine memory-backend: there is no -object with id 'm'"},
    {"-kernel k -machine memory-backend=m -object iothread,id=m",
     "-machine memory-backend: object 'm' is of type iothread: expected a memory backend"},
    {"-kernel k -machine memory-backend=m -object memory-backend-ram,id=m,size=1G -m 2G",
     "-machine memory-backend: object 'm' has 1G: expected 2G"},
    {"-kernel k -machine memory-backend=m -object memory-backend-ram,id=m,size=1G -mem-path /x",
     "-mem-path contradicts -machine memory-backend=m: expected one of them"},
    {"-kernel k -hardware-signature 1", "-hardware-signature: machine microvm has no FACS to hold "
                                        "it"},
    {"-kernel k -smbios type=1", "-smbios: machine microvm has no SMBIOS"},

    {"-kernel k -numa node,mem=1G -m 2G", "-numa: the nodes have 1G: expected the RAM's 2G"},
    {"-kernel k -numa node,memdev=x", "-numa node 0: there is no -object with id 'x'"},
    {"-kernel k -smp 2 -numa node,cpus=0 -numa node", "-numa: CPU 1 is in no node"},
    {"-kernel k -smp 2 -numa node,cpus=0-1 -numa node,cpus=1",
     "-numa: CPU 1 is in node 0 and in node 1"},
    {"-kernel k -smp 2 -numa node,cpus=0-2", "-numa: node 0 has CPU 2: there are 2"},
    {"-kernel k -m 1G -numa node,memdev=m -object memory-backend-ram,id=m,size=1G "
     "-machine memory-backend=m",
     "-numa node 0: memdev contradicts -machine memory-backend: expected one of them"},

    {"-kernel k -drive file=f,id=d", "-drive 'd': no -device has drive=d"},
    {"-kernel k -drive file=f", "-drive 'drive0': no -device has drive=drive0"},
    {"-kernel k -device virtio-blk-device,drive=d,id=b",
     "-device virtio-blk-device 'b': drive 'd': there is no such -drive or -blockdev"},
    {"-kernel k -drive file=f,id=d -device virtio-blk-device,drive=d "
     "-device virtio-blk-device,drive=d,id=c",
     "-device virtio-blk-device 'c': drive 'd' is used by -device virtio-blk-device already"},
    {"-kernel k -drive file=f,id=d,if=virtio -device virtio-blk-device,drive=d",
     "-device virtio-blk-device: drive 'd' is used by -device virtio-blk-device already"},
    {"-kernel k -device virtio-rng-device,rng=r",
     "-device virtio-rng-device: rng 'r': there is no such -object rng-..."},
    {"-kernel k -object iothread,id=r -device virtio-rng-device,rng=r",
     "-device virtio-rng-device: rng 'r': there is no such -object rng-..."},
    {"-kernel k -device virtio-net-device,netdev=n",
     "-device virtio-net-device: netdev 'n': there is no such -netdev"},
    {"-kernel k -serial chardev:c", "-serial: chardev 'c': there is no such -chardev"},
    {"-kernel k -chardev null,id=c -serial chardev:c -mon c,mode=control",
     "-mon: chardev 'c' is used by -serial already"},
    {"-kernel k -chardev null,id=c -device isa-serial,chardev=c -gdb chardev:c",
     "-gdb: chardev 'c' is used by -device isa-serial already"},

    {"-kernel k -serial stdio -qmp stdio",
     "chardevs 'serial0' and 'compat_monitor0' both want standard input and output"},
    {"-kernel k -serial stdio -daemonize",
     "-daemonize: chardev 'serial0' is on standard input and output"},
    {"-kernel k -qtest unix:/q", "-qtest needs -accel qtest"},
};

START_TEST(what_cannot_be_is_refused_with_one_error)
{
    g_autoptr(VmConfig) config = parse(wrong[_i].line);
    g_autoptr(GError) error = NULL;

    ck_assert_msg(!vm_config_validate(config, &error), "%s", wrong[_i].line);
    ck_assert_int_eq(error->code, VMM_ERROR_CONFIG);
    ck_assert_str_eq(error->message, wrong[_i].message);
}
END_TEST

static const char *const right[] = {
    "-kernel k",
    "-incoming defer",
    "-machine none",
    "-machine none -S",
    "-accel qtest -qtest unix:/q",
    "-kernel k -m 1M",
    "-kernel k -m 512G",
    "-M q35 -m 2G,slots=4,maxmem=8G",
    "-kernel k -smp 254",
    "-kernel k -blockdev file,node-name=f,filename=x -blockdev raw,node-name=r,file=f "
    "-device virtio-blk-device,drive=r",
    "-kernel k -object iothread,id=io -drive file=a,id=a -drive file=b,id=b "
    "-device virtio-blk-device,drive=a,iothread=io -device virtio-blk-device,drive=b,iothread=io",
    "-M q35 -drive if=pflash,file=fw -device virtio-rng-pci,id=a",
    "-kernel k -object rng-builtin,id=r -device virtio-rng-device,rng=r "
    "-device virtio-rng-device,rng=r",
    "-kernel k -daemonize -serial file:/log",
    "-kernel k -chardev null,id=a -netdev tap,id=a -object iothread,id=a "
    "-device virtio-net-device,id=a,netdev=a",
};

START_TEST(what_can_be_is_accepted)
{
    g_autoptr(VmConfig) config = parse(right[_i]);
    g_autoptr(GError) error = NULL;

    ck_assert_msg(vm_config_validate(config, &error), "%s: %s", right[_i],
                  error ? error->message : "");
}
END_TEST

static const char *const travellers[] = {
    "",
    "-kernel k -initrd i -append 'a b,c=d \"e\"' -dtb d",
    "-name n -uuid 71cd2bc3-9f5c-4a25-b6a6-0123456789ab -rtc base=2006-06-17,clock=vm",
    "-machine q35,acpi=off,mem-share=on,dump-guest-core=off,mem-merge=on,memory-backend=m,pit=on,"
    "pic=off,rtc=on,isa-serial=off,auto-kernel-cmdline=off -hardware-signature 7 -smbios type=1,a=b",
    "-cpu max,+a,-b,c=on,pmu=off -smp 8,sockets=2,threads=2,maxcpus=8",
    "-m 1500M,slots=3,maxmem=4G -mem-path /x -mem-prealloc",
    "-m 4097k",
    "-smp 4 -m 2G -numa node,cpus=0:2 -numa node,cpus=1:3 -numa dist,src=0,dst=1,val=31",
    "-accel qtest -action panic=none,watchdog=pause,reboot=shutdown,shutdown=pause",
    "-object iothread,id=i -drive file=a,,b,id=d -blockdev raw,node-name=n -netdev user,id=u,"
    "hostfwd=x,hostfwd=y -chardev null,id=c -device virtio-blk-device,drive=d,serial=s -serial "
    "file:/log -global a.b=c",
};

/* Equal as far as JSON tells; the second has seen nothing but the first's JSON. */
START_TEST(a_configuration_survives_json)
{
    g_autoptr(VmConfig) config = parse(travellers[_i]);
    g_autoptr(GError) error = NULL;
    json_object *json = vm_config_to_json(config);
    g_autofree char *first = g_strdup(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN));
    json_object *parsed = json_tokener_parse(first);
    g_autoptr(VmConfig) copy = vm_config_from_json(parsed, &error);

    ck_assert_msg(copy != NULL, "%s: %s", first, error ? error->message : "");

    json_object *again = vm_config_to_json(copy);

    ck_assert_str_eq(json_object_to_json_string_ext(again, JSON_C_TO_STRING_PLAIN), first);
    ck_assert_int_eq(copy->machine.type, config->machine.type);
    ck_assert_uint_eq(copy->memory.size, config->memory.size);
    ck_assert_uint_eq(copy->memory.max_size, config->memory.max_size);
    ck_assert_mem_eq(&copy->smp, &config->smp, sizeof(SmpConfig));
    ck_assert_mem_eq(copy->uuid, config->uuid, sizeof(config->uuid));
    ck_assert_uint_eq(copy->cpu.features->len, config->cpu.features->len);
    ck_assert_uint_eq(copy->devices->len, config->devices->len);
    ck_assert_int_eq(copy->on_panic, config->on_panic);
    ck_assert_uint_eq(copy->numa_nodes->len, config->numa_nodes->len);
    for (unsigned n = 0; n < config->numa_nodes->len; n++) {
        const NumaNode *a = g_ptr_array_index(config->numa_nodes, n);
        const NumaNode *b = g_ptr_array_index(copy->numa_nodes, n);

        ck_assert_mem_eq(a->cpus, b->cpus, sizeof(a->cpus));
        ck_assert_mem_eq(a->distance, b->distance, sizeof(a->distance));
    }
    json_object_put(again);
    json_object_put(parsed);
    json_object_put(json);
}
END_TEST

START_TEST(json_leaves_out_what_concerns_the_process_only)
{
    g_autoptr(VmConfig) config =
        parse("-kernel k -qmp stdio -pidfile p -D l -daemonize -incoming defer -S -gdb none");
    json_object *json = vm_config_to_json(config);
    const char *text = json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN);

    ck_assert_ptr_null(strstr(text, "monitors"));
    ck_assert_ptr_null(strstr(text, "pid"));
    ck_assert_ptr_null(strstr(text, "incoming"));
    ck_assert_ptr_null(strstr(text, "compat_monitor0"));
    json_object_put(json);
}
END_TEST

static const struct {
    const char *json;
    const char *message;
} broken[] = {
    {"[]", "expected a JSON object, found array"},
    {"{\"nonsense\":{}}", "configuration section 'nonsense': unknown section"},
    {"{\"smp\":[]}", "configuration section 'smp': expected a JSON object of properties, found "
                     "array"},
    {"{\"smp\":{\"cpus\":\"1\"}}",
     "configuration section 'smp': smp: property 'max_cpus' is missing"},
    {"{\"machine\":{\"type\":\"pc\"}}", "configuration section 'machine': machine: property 'type' "
                                        "is 'pc': expected none, microvm, q35 or virt"},
    {"{\"machine\":{\"type\":\"microvm\",\"typ\":\"x\"}}",
     "configuration section 'machine': machine: unknown property 'typ'; did you mean 'type'?"},
    {"{\"cpu\":{\"model\":\"host\",\"feature\":[\"+a\",\"b\"]}}",
     "configuration section 'cpu': feature 'b': expected +name or -name"},
    {"{\"vm\":{\"uuid\":\"x\"}}", "configuration section 'vm': property 'uuid' is 'x': expected a "
                                  "UUID"},
    {"{\"devices\":{}}", "configuration section 'devices': expected a list, found object"},
    {"{\"devices\":[\"x\"]}", "configuration section 'devices': expected a JSON object of "
                              "properties, found string"},
    {"{\"numa\":[{\"id\":\"1\"}]}", "configuration section 'numa': node 1 stands at place 0"},
    {"{\"numa\":[{\"id\":\"0\",\"distance\":[\"10\",\"256\"]}]}",
     "configuration section 'numa': distance 1 is '256': expected at most 255"},
};

START_TEST(json_from_strangers_is_judged)
{
    json_object *json = json_tokener_parse(broken[_i].json);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmConfig) config = vm_config_from_json(json, &error);

    ck_assert_ptr_null(config);
    ck_assert_str_eq(error->message, broken[_i].message);
    json_object_put(json);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("config");

    tcase_add_loop_test(tc, what_cannot_be_is_refused_with_one_error, 0, G_N_ELEMENTS(wrong));
    tcase_add_loop_test(tc, what_can_be_is_accepted, 0, G_N_ELEMENTS(right));
    tcase_add_loop_test(tc, a_configuration_survives_json, 0, G_N_ELEMENTS(travellers));
    tcase_add_test(tc, json_leaves_out_what_concerns_the_process_only);
    tcase_add_loop_test(tc, json_from_strangers_is_judged, 0, G_N_ELEMENTS(broken));
    return suite_run("config", tc);
}
