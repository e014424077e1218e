/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/options.h"

#include "machine/options_private.h"
#include "tests/unit/suite.h"
#include "util/error.h"

#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static char *fake_device_help(const char *type)
{
    if (type && strcmp(type, "virtio-blk-device") != 0) {
        return NULL;
    }
    return g_strdup_printf("help for %s\n", type ? type : "all devices");
}

static char *fake_dump_state(const char *path, GError **error)
{
    (void)error;
    return g_strdup_printf("state of %s\n", path);
}

static char *fake_dump_vmstate(void)
{
    return g_strdup("all tables\n");
}

/* Parses what a shell would have made of line, which does not begin with the program's name. */
static VmConfig *parse_full(const char *line, OptionsOutcome *outcome, GError **error)
{
    g_autoptr(VmConfig) config = vm_config_new();
    g_autofree char *command = g_strconcat("stencil ", line, NULL);
    g_auto(GStrv) argv = NULL;
    int argc;

    ck_assert_msg(g_shell_parse_argv(command, &argc, &argv, NULL), "%s", line);
    if (!options_parse(argc, argv, config, outcome, error)) {
        return NULL;
    }
    return g_steal_pointer(&config);
}

static VmConfig *parse(const char *line)
{
    OptionsOutcome outcome = {.device_help = fake_device_help};
    g_autoptr(GError) error = NULL;
    VmConfig *config = parse_full(line, &outcome, &error);

    ck_assert_msg(config != NULL, "%s: %s", line, error ? error->message : "");
    ck_assert_ptr_null(outcome.text);
    return config;
}

static void assert_refused(const char *line, const char *message)
{
    OptionsOutcome outcome = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(VmConfig) config = parse_full(line, &outcome, &error);

    ck_assert_msg(config == NULL, "%s", line);
    ck_assert_int_eq(error->code, VMM_ERROR_CONFIG);
    ck_assert_str_eq(error->message, message);
}

/* The whole way: parse and validate. */
static VmConfig *accept(const char *line)
{
    VmConfig *config = parse(line);
    g_autoptr(GError) error = NULL;
    bool ok = vm_config_validate(config, &error);

    ck_assert_msg(ok, "%s: %s", line, error ? error->message : "");
    return config;
}

static const char *bag_text(const GPtrArray *bags, unsigned index, char **text)
{
    ck_assert_uint_gt(bags->len, index);
    g_free(*text);
    *text = prop_bag_to_text(g_ptr_array_index(bags, index));
    return *text;
}

START_TEST(an_empty_command_line_is_the_default_vm)
{
    g_autoptr(VmConfig) config = parse("");

    ck_assert_int_eq(config->machine.type, MACHINE_MICROVM);
    ck_assert(config->machine.dump_guest_core);
    ck_assert(config->machine.auto_kernel_cmdline);
    ck_assert_int_eq(config->accel, ACCEL_KVM);
    ck_assert_str_eq(config->cpu.model, "host");
    ck_assert_uint_eq(config->smp.cpus, 1);
    ck_assert_uint_eq(config->memory.size, 256 * MIB);
    ck_assert_uint_eq(config->devices->len, 0);
    ck_assert_uint_eq(config->serials->len, 0);
    ck_assert_int_eq(config->on_panic, PANIC_ACTION_SHUTDOWN);
    ck_assert_int_eq(config->sandbox, ON_OFF_AUTO_AUTO);
    ck_assert_str_eq(config->rtc.base, "utc");
    ck_assert_ptr_null(config->incoming.uri);
}
END_TEST

/* The commands of the StratoVirt document on snapshots. */
#define TEMPLATE_COMMAND                                                      \
    "-machine microvm "                                                       \
    "-kernel path/to/vmlinux.bin "                                            \
    "-append \"console=ttyS0 pci=off reboot=k quiet panic=1 root=/dev/vda\" " \
    "-drive file=path/to/rootfs,id=rootfs,readonly=off,direct=off "           \
    "-device virtio-blk-device,drive=rootfs,id=rootfs "                       \
    "-qmp unix:path/to/socket,server,nowait "                                 \
    "-serial stdio "

START_TEST(the_command_that_makes_a_template_parses)
{
    g_autoptr(VmConfig) config = accept(TEMPLATE_COMMAND);
    g_autofree char *text = NULL;

    ck_assert_int_eq(config->machine.type, MACHINE_MICROVM);
    ck_assert_str_eq(config->boot.kernel, "path/to/vmlinux.bin");
    ck_assert_str_eq(config->boot.append,
                     "console=ttyS0 pci=off reboot=k quiet panic=1 root=/dev/vda");
    ck_assert_str_eq(bag_text(config->drives, 0, &text),
                     "file=path/to/rootfs,id=rootfs,readonly=off,direct=off");
    ck_assert_str_eq(bag_text(config->devices, 0, &text),
                     "virtio-blk-device,drive=rootfs,id=rootfs");
    ck_assert_str_eq(bag_text(config->chardevs, 0, &text),
                     "socket,path=path/to/socket,server=on,wait=off,id=compat_monitor0");
    ck_assert_str_eq(bag_text(config->chardevs, 1, &text), "stdio,id=serial0");
    ck_assert_str_eq(bag_text(config->monitors, 0, &text),
                     "chardev=compat_monitor0,mode=control,pretty=off");
    ck_assert_str_eq(bag_text(config->serials, 0, &text), "chardev=serial0");
}
END_TEST

START_TEST(the_command_that_restores_it_parses)
{
    g_autoptr(VmConfig) config = accept(TEMPLATE_COMMAND "-incoming file:path/to/template");

    ck_assert_str_eq(config->incoming.uri, "file:path/to/template");
    ck_assert_uint_eq(prop_bag_count(config->incoming.options), 0);
}
END_TEST

START_TEST(a_restore_needs_no_machine_options)
{
    g_autoptr(VmConfig) config = accept(
        "-incoming FILE:/t/a=b,mapped=true,resume=off,clock=freeze -qmp unix:s,server=on,wait=off");

    ck_assert_str_eq(config->incoming.uri, "file:/t/a=b");
    ck_assert_str_eq(prop_bag_get(config->incoming.options, "memory"), "map");
    ck_assert_str_eq(prop_bag_get(config->incoming.options, "resume"), "off");
    ck_assert_str_eq(prop_bag_get(config->incoming.options, "clock"), "freeze");
    ck_assert(!config->given.machine);
    ck_assert(!config->given.memory);

    g_autoptr(VmConfig) lazy = accept("-incoming file:/t,memory=lazy,fill=no");

    ck_assert_str_eq(prop_bag_get(lazy->incoming.options, "memory"), "lazy");
    ck_assert_str_eq(prop_bag_get(lazy->incoming.options, "fill"), "off");

    g_autoptr(VmConfig) exec = accept("-incoming 'exec:cat a,b | gzip -d --x=y,z'");

    ck_assert_str_eq(exec->incoming.uri, "exec:cat a,b | gzip -d --x=y,z");
}
END_TEST

START_TEST(a_json_channel_is_a_uri)
{
    static const struct {
        const char *address;
        const char *uri;
    } cases[] = {
        {"\"transport\":\"socket\",\"type\":\"unix\",\"path\":\"/s,x\"", "unix:/s,x"},
        {"\"transport\":\"socket\",\"type\":\"inet\",\"host\":\"h\",\"port\":\"1\"", "tcp:h:1"},
        {"\"transport\":\"socket\",\"type\":\"fd\",\"str\":\"7\"", "fd:7"},
        {"\"transport\":\"file\",\"filename\":\"/f\",\"offset\":4096", "file:/f"},
        {"\"transport\":\"exec\",\"args\":[\"cat\",\"a b\"]", "exec:'cat' 'a b' "},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        char *argv[] = {NULL, NULL, NULL};
        static char program[] = "stencil";
        static char incoming[] = "-incoming";
        g_autofree char *value =
            g_strdup_printf("{\"channel-type\":\"main\",\"addr\":{%s}}", cases[i].address);
        g_autoptr(VmConfig) config = vm_config_new();
        g_autoptr(GError) error = NULL;
        OptionsOutcome outcome = {0};

        argv[0] = program;
        argv[1] = incoming;
        argv[2] = value;
        ck_assert_msg(options_parse(3, argv, config, &outcome, &error), "%s",
                      error ? error->message : "");
        ck_assert_str_eq(config->incoming.uri, cases[i].uri);
    }
}
END_TEST

START_TEST(what_libvirt_writes_for_a_microvm_parses)
{
    g_autoptr(VmConfig) config = accept(
        "-name guest=fk,debug-threads=on -S "
        "-object secret,id=masterKey0,format=raw,file=/var/lib/libvirt/master-key.aes "
        "-machine microvm,usb=off,dump-guest-core=off,memory-backend=microvm.ram -accel kvm "
        "-cpu host -m 256 -object memory-backend-ram,id=microvm.ram,size=268435456 "
        "-overcommit mem-lock=off -smp 1,sockets=1,cores=1,threads=1 "
        "-uuid 71cd2bc3-9f5c-4a25-b6a6-0123456789ab -display none -no-user-config -nodefaults "
        "-chardev socket,id=charmonitor,fd=27,server=on,wait=off "
        "-mon chardev=charmonitor,id=monitor,mode=control -rtc base=utc -no-shutdown -no-acpi "
        "-boot strict=on -kernel K -append A "
        "-blockdev '{\"driver\":\"file\",\"filename\":\"/img\",\"node-name\":\"libvirt-1-storage\","
        "\"auto-read-only\":true,\"discard\":\"unmap\"}' "
        "-blockdev '{\"node-name\":\"libvirt-1-format\",\"read-only\":false,\"driver\":\"raw\","
        "\"file\":\"libvirt-1-storage\"}' "
        "-device virtio-blk-device,drive=libvirt-1-format,id=virtio-disk0,bootindex=1,write-cache=on "
        "-netdev tap,fd=31,id=hostnet0 "
        "-device virtio-net-device,netdev=hostnet0,id=net0,mac=52:54:00:12:34:56 "
        "-add-fd set=0,fd=26,opaque=serial0-source "
        "-chardev file,id=charserial0,path=/dev/fdset/0,append=on "
        "-device isa-serial,chardev=charserial0,id=serial0,index=0 "
        "-device virtio-serial-device,id=virtio-serial0 "
        "-chardev socket,id=charchannel0,fd=28,server=on,wait=off "
        "-device virtserialport,bus=virtio-serial0.0,nr=1,chardev=charchannel0,id=channel0,"
        "name=org.qemu.guest_agent.0 "
        "-audiodev '{\"id\":\"audio1\",\"driver\":\"none\"}' "
        "-device virtio-balloon-device,id=balloon0 -msg timestamp=on");

    ck_assert_str_eq(config->name, "fk");
    ck_assert(config->debug_threads);
    ck_assert(config->start_paused);
    ck_assert(config->uuid_given);
    ck_assert_int_eq(config->machine.acpi, ON_OFF_AUTO_OFF);
    ck_assert(!config->machine.dump_guest_core);
    ck_assert_str_eq(config->machine.memory_backend, "microvm.ram");
    ck_assert_int_eq(config->on_shutdown, SHUTDOWN_ACTION_PAUSE);
    ck_assert(config->msg_timestamp);
    ck_assert_uint_eq(config->devices->len, 6);
    ck_assert_str_eq(prop_bag_get(g_ptr_array_index(config->blockdevs, 0), "auto-read-only"), "on");
}
END_TEST

START_TEST(what_libvirt_asks_before_parses)
{
    g_autoptr(VmConfig) config =
        accept("-S -no-user-config -nodefaults -nographic -machine none,accel=kvm:tcg "
               "-qmp unix:/var/lib/libvirt/qemu/qmp-X/qmp.monitor,server=on,wait=off "
               "-pidfile /run/qmp.pid -daemonize");

    ck_assert_int_eq(config->machine.type, MACHINE_NONE);
    ck_assert(config->daemonize);
    ck_assert_str_eq(config->pid_file, "/run/qmp.pid");
    ck_assert_uint_eq(config->serials->len, 0);
}
END_TEST

START_TEST(what_a_sandbox_service_writes_parses)
{
    g_autoptr(VmConfig) config = accept(
        "-name guest=x -nodefaults -no-user-config -accel kvm -cpu host,-svm,-vmx "
        "-object memory-backend-file,id=mem0,size=512M,mem-path=/t/mem,share=off,readonly=on,rom=off "
        "-M microvm,acpi=off,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=off,mem-merge=on,"
        "dump-guest-core=off,memory-backend=mem0 -no-reboot -m 512M -smp 1,maxcpus=1 "
        "-kernel vmlinux -initrd i -append 'quiet loglevel=1' "
        "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny "
        "-object iothread,id=io0,thread-pool-min=0,thread-pool-max=8 "
        "-drive file=OV,format=qcow2,if=none,id=hd0,cache=unsafe,aio=io_uring,discard=unmap,"
        "detect-zeroes=unmap,werror=report,rerror=report,copy-on-read=off,file.locking=off "
        "-device virtio-blk-device,drive=hd0,serial=base,iothread=io0,num-queues=1,queue-size=128,"
        "event_idx=off -nographic -monitor none -chardev socket,id=a,path=/s1,server=on,wait=off "
        "-chardev stdio,id=con,signal=off -serial none -device virtio-serial-device,max_ports=3 "
        "-device virtconsole,chardev=con -device virtserialport,chardev=a "
        "-object rng-random,id=r0,filename=/dev/urandom -device virtio-rng-device,rng=r0 "
        "-nic none -chardev socket,id=qmp0,fd=5,server=on,wait=off -mon chardev=qmp0,mode=control "
        "-incoming defer -run-with exit-with-parent=on,async-teardown=on");

    ck_assert_int_eq(config->machine.pit, ON_OFF_AUTO_OFF);
    ck_assert_int_eq(config->machine.mem_merge, ON_OFF_AUTO_ON);
    ck_assert_uint_eq(config->cpu.features->len, 2);
    ck_assert_str_eq(g_array_index(config->cpu.features, CpuFeature, 0).name, "svm");
    ck_assert(!g_array_index(config->cpu.features, CpuFeature, 0).on);
    ck_assert_int_eq(config->on_reboot, REBOOT_ACTION_SHUTDOWN);
    ck_assert_int_eq(config->sandbox, ON_OFF_AUTO_ON);
    ck_assert(config->exit_with_parent);
    ck_assert_uint_eq(config->serials->len, 0);
    ck_assert_str_eq(config->incoming.uri, "defer");
}
END_TEST

START_TEST(what_nomad_writes_parses)
{
    g_autoptr(VmConfig) config =
        accept("--machine type=microvm,accel=kvm -name web -m 512M "
               "-drive file=/i.img,if=virtio,id=image0 -nographic -kernel k --smp 2 -enable-kvm");
    g_autofree char *text = NULL;

    ck_assert_str_eq(bag_text(config->devices, 0, &text), "virtio-blk-device,drive=image0");
    ck_assert_str_eq(bag_text(config->drives, 0, &text), "file=/i.img,id=image0,if=none");
    ck_assert_str_eq(bag_text(config->chardevs, 0, &text), "stdio,id=serial0,signal=off,mux=on");
    ck_assert_uint_eq(config->smp.cpus, 2);
}
END_TEST

START_TEST(topology_follows_from_what_is_given)
{
    static const struct {
        const char *line;
        SmpConfig smp; /* cpus, max, sockets, dies, clusters, cores, threads */
    } cases[] = {
        {"4", {4, 4, 1, 1, 1, 4, 1}},
        {"cpus=4,threads=2", {4, 4, 1, 1, 1, 2, 2}},
        {"8,sockets=2", {8, 8, 2, 1, 1, 4, 1}},
        {"8,cores=2", {8, 8, 4, 1, 1, 2, 1}},
        {"8,cores=2,threads=2", {8, 8, 2, 1, 1, 2, 2}},
        {"8,sockets=2,cores=2", {8, 8, 2, 1, 1, 2, 2}},
        {"2,maxcpus=8", {2, 8, 1, 1, 1, 8, 1}},
        {"maxcpus=6,dies=3", {6, 6, 1, 3, 1, 2, 1}},
        {"sockets=2,cores=3,threads=2", {12, 12, 2, 1, 1, 3, 2}},
        {"16,sockets=1,dies=2,clusters=2,cores=2,threads=2", {16, 16, 1, 2, 2, 2, 2}},
        {"254", {254, 254, 1, 1, 1, 254, 1}},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *line = g_strconcat("-kernel k -smp ", cases[i].line, NULL);
        g_autoptr(VmConfig) config = accept(line);

        ck_assert_msg(memcmp(&config->smp, &cases[i].smp, sizeof(SmpConfig)) == 0, "%s", line);
    }
}
END_TEST

START_TEST(memory_is_counted_in_mebibytes)
{
    static const struct {
        const char *line;
        uint64_t bytes;
    } cases[] = {
        {"512", 512 * MIB},        {"512M", 512 * MIB}, {"4G", 4 * GIB},
        {"size=1.5G", 1536 * MIB}, {"1048576k", GIB},   {"512g", 512 * GIB},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *line = g_strconcat("-kernel k -m ", cases[i].line, NULL);
        g_autoptr(VmConfig) config = accept(line);

        ck_assert_uint_eq(config->memory.size, cases[i].bytes);
        ck_assert_uint_eq(config->memory.max_size, cases[i].bytes);
    }

    g_autoptr(VmConfig) object =
        accept("-kernel k -machine memory-backend=r -object memory-backend-memfd,id=r,size=1G");

    ck_assert_uint_eq(object->memory.size, GIB);
}
END_TEST

START_TEST(numa_nodes_are_completed)
{
    g_autoptr(VmConfig) config =
        accept("-kernel k -numa node,nodeid=0,cpus=0-1,memdev=a -numa node,cpus=2:3,memdev=b "
               "-numa dist,src=0,dst=1,val=15 -smp 4 -m 3G -object memory-backend-ram,id=a,size=1G "
               "-object memory-backend-ram,id=b,size=2G");
    const NumaNode *first = g_ptr_array_index(config->numa_nodes, 0);
    const NumaNode *second = g_ptr_array_index(config->numa_nodes, 1);

    ck_assert_uint_eq(config->numa_nodes->len, 2);
    ck_assert_uint_eq(first->cpus[0], 3);
    ck_assert_uint_eq(second->cpus[0], 12);
    ck_assert_uint_eq(second->id, 1);
    ck_assert_uint_eq(second->size, 2 * GIB);
    ck_assert_str_eq(second->memdev, "b");
    ck_assert_uint_eq(first->distance[0], 10);
    ck_assert_uint_eq(first->distance[1], 15);
    ck_assert_uint_eq(second->distance[0], 15);
}
END_TEST

START_TEST(numa_nodes_share_what_is_not_said)
{
    g_autoptr(VmConfig) config = accept("-kernel k -numa node -numa node -numa node -smp 5 -m 256");
    const NumaNode *first = g_ptr_array_index(config->numa_nodes, 0);
    const NumaNode *last = g_ptr_array_index(config->numa_nodes, 2);

    ck_assert_uint_eq(first->size, 84 * MIB);
    ck_assert_uint_eq(last->size, 88 * MIB);
    ck_assert_uint_eq(first->cpus[0], 3);
    ck_assert_uint_eq(last->cpus[0], 16);
    ck_assert_uint_eq(first->distance[2], 20);

    g_autoptr(VmConfig) cpus = accept("-kernel k -smp 8,sockets=2,cores=2,threads=2 "
                                      "-numa node -numa node -numa cpu,node-id=0,socket-id=1 "
                                      "-numa cpu,node-id=1,socket-id=0");

    first = g_ptr_array_index(cpus->numa_nodes, 0);
    ck_assert_uint_eq(first->cpus[0], 0xf0);
}
END_TEST

START_TEST(serial_takes_both_dialects)
{
    static const struct {
        const char *line;
        const char *chardev;
    } cases[] = {
        {"-serial stdio", "stdio,id=serial0"},
        {"-serial pty", "pty,id=serial0"},
        {"-serial null", "null,id=serial0"},
        {"-serial file:/log,a=b", "file,path=/log,,a=b,id=serial0"},
        {"-serial file,path=/log", "file,path=/log,id=serial0"},
        {"-serial unix:/s,server,nowait", "socket,path=/s,server=on,wait=off,id=serial0"},
        {"-serial socket,path=/s,server=on,wait=off",
         "socket,path=/s,server=on,wait=off,id=serial0"},
        {"-serial tcp:127.0.0.1:4444,server=on",
         "socket,host=127.0.0.1,port=4444,server=on,id=serial0"},
        {"-serial tcp:[::1]:4444", "socket,host=::1,port=4444,id=serial0"},
        {"-serial tcp::4444", "socket,host=,port=4444,id=serial0"},
        {"-serial mon:stdio", "stdio,id=serial0,signal=off,mux=on"},
        {"-serial mon:unix:/s", "socket,path=/s,id=serial0"},
        {"-serial pipe:/p", "pipe,path=/p,id=serial0"},
        {"-serial /dev/ttyS1", "serial,path=/dev/ttyS1,id=serial0"},
        {"-nographic", "stdio,id=serial0,signal=off,mux=on"},
        {"-qmp unix:fd=7,server=on,wait=off", "socket,fd=7,server=on,wait=off,id=compat_monitor0"},
        {"-qmp unix:/s,server,nowait,iothread=io0",
         "socket,path=/s,server=on,wait=off,id=compat_monitor0"},
        {"-gdb tcp::1234", "socket,host=localhost,port=1234,server=on,wait=off,id=gdb"},
        {"-gdb tcp:0.0.0.0:1234", "socket,host=0.0.0.0,port=1234,server=on,wait=off,id=gdb"},
        {"-s", "socket,host=localhost,port=1234,server=on,wait=off,id=gdb"},
        {"-gdb unix:/g,server=on", "socket,path=/g,server=on,id=gdb"},
        {"-qtest unix:/q", "socket,path=/q,id=qtest"},
    };
    g_autofree char *text = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(VmConfig) config = parse(cases[i].line);

        ck_assert_uint_eq(config->chardevs->len, 1);
        ck_assert_str_eq(bag_text(config->chardevs, 0, &text), cases[i].chardev);
    }

    g_autoptr(VmConfig) config =
        accept("-kernel k -chardev null,id=c -serial chardev:c -serial null -serial none");

    ck_assert_uint_eq(config->serials->len, 2);
    ck_assert_str_eq(bag_text(config->serials, 0, &text), "chardev=c");
    ck_assert_str_eq(bag_text(config->serials, 1, &text), "chardev=serial1");
}
END_TEST

START_TEST(nographic_leaves_a_taken_terminal_alone)
{
    static const char *const lines[] = {
        "-nographic -nodefaults",
        "-nographic -serial none",
        "-nographic -qmp stdio",
        "-nographic -chardev null,id=c -device isa-serial,chardev=c",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(VmConfig) config = parse(lines[i]);

        ck_assert_uint_eq(config->serials->len, 0);
    }
}
END_TEST

/* One good use of every option; the value of the second column is what the last test prints. */
static const char *const one_of_each[] = {
    "-machine microvm,kernel_irqchip=on,acpi=on",
    "-M none",
    "-accel kvm -accel tcg",
    "-accel test",
    "-enable-kvm",
    "-cpu max,+avx2,-x2apic,aes=off,pmu=on,enforce",
    "-smp 2",
    "-m 1G,slots=0",
    "-mem-path /dev/hugepages",
    "-mem-prealloc",
    "-numa node",
    "-object iothread,id=i",
    "-smbios type=1,manufacturer=x",
    "-hardware-signature 0x10",
    "-rtc base=2006-06-17,clock=vm",
    "-no-acpi",
    "-uuid 71cd2bc3-9f5c-4a25-b6a6-0123456789ab",
    "-name a,process=b",
    "-kernel k",
    "-initrd i",
    "-append a b c",
    "-dtb d",
    "-incoming tcp:0:4444",
    "-S",
    "-freeze",
    "-device virtio-rng-device",
    "-drive file=f",
    "-blockdev raw,node-name=n",
    "-netdev tap,id=n",
    "-chardev null,id=c",
    "-add-fd fd=5,set=1",
    "-global virtio-blk-device.serial=x",
    "-serial null",
    "-qmp stdio",
    "-qmp-pretty stdio",
    "-mon c,mode=control",
    "-monitor none",
    "-nographic",
    "-daemonize",
    "-pidfile p",
    "-no-reboot",
    "-no-shutdown",
    "-action panic=none,watchdog=debug -action reboot=shutdown",
    "-watchdog-action none",
    "-sandbox off",
    "-disable-seccomp",
    "-run-with exit-with-parent=on",
    "-D /log",
    "-msg timestamp",
    "-gdb none",
    "-s",
    "-qtest none",
    "-dump-state /tmp/template",
    "-dump-vmstate",
    "-help",
    "-h",
    "-version",
    "-V",
    "-nodefaults",
    "-no-user-config",
    "-nodefconfig",
    "-display none",
    "-vga none",
    "-parallel none",
    "-nic none",
    "-net none",
    "-audiodev none,id=a",
    "-boot c",
    "-overcommit mem-lock=off",
    "-realtime mlock=off",
    "-trace enable=x",
    "-d int",
    "-k de",
    "-L /x",
    "-qtest-log /dev/null",
    "-no-hpet",
    "-no-fd-bootchk",
    "-usb",
};

START_TEST(every_option_can_be_used)
{
    g_autofree bool *seen = g_new0(bool, option_count);

    for (size_t i = 0; i < G_N_ELEMENTS(one_of_each); i++) {
        OptionsOutcome outcome = {.dump_state = fake_dump_state, .dump_vmstate = fake_dump_vmstate};
        g_autoptr(GError) error = NULL;
        g_autoptr(VmConfig) config = parse_full(one_of_each[i], &outcome, &error);

        ck_assert_msg(config != NULL, "%s: %s", one_of_each[i], error ? error->message : "");
        g_free(outcome.text);
    }
    for (size_t o = 0; o < option_count; o++) {
        for (size_t i = 0; i < G_N_ELEMENTS(one_of_each); i++) {
            size_t len = strcspn(one_of_each[i], " ");

            seen[o] |= strlen(option_table[o].name) + 1 == len &&
                       strncmp(one_of_each[i] + 1, option_table[o].name, len - 1) == 0;
        }
        ck_assert_msg(seen[o] || option_table[o].group == OPTION_GROUP_REFUSED,
                      "no use of -%s is tested", option_table[o].name);
    }
}
END_TEST

START_TEST(every_option_that_has_a_value_misses_it)
{
    for (size_t o = 0; o < option_count; o++) {
        const Option *option = &option_table[o];
        g_autofree char *line = g_strconcat("-", option->name, " -S", NULL);
        OptionsOutcome outcome = {0};
        g_autoptr(GError) error = NULL;

        if (option->argument == OPTION_VALUE || option->argument == OPTION_WORDS) {
            g_autoptr(VmConfig) config = parse_full(line, &outcome, &error);
            g_autofree char *start = g_strdup_printf("-%s: needs a value: ", option->name);

            ck_assert_ptr_null(config);
            ck_assert_msg(g_str_has_prefix(error->message, start), "%s", error->message);
        }
        ck_assert_msg((option->argument == OPTION_FLAG) == (option->form == NULL), "%s",
                      option->name);
        ck_assert_msg(option->help != NULL && option->set != NULL, "%s", option->name);
    }
}
END_TEST

START_TEST(refused_options_say_why)
{
    for (size_t o = 0; o < option_count; o++) {
        const Option *option = &option_table[o];

        if (option->group == OPTION_GROUP_REFUSED) {
            bool flag = option->argument == OPTION_FLAG;
            g_autofree char *line = g_strconcat("-", option->name, flag ? "" : " x", NULL);
            g_autofree char *message =
                g_strdup_printf("-%s: not supported: %s", option->name, option->help);

            assert_refused(line, message);
        }
    }
}
END_TEST

START_TEST(no_two_options_share_a_name)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (size_t o = 0; o < option_count; o++) {
        ck_assert(g_hash_table_add(names, (char *)(uintptr_t)option_table[o].name));
        if (option_table[o].alias) {
            ck_assert(g_hash_table_add(names, (char *)(uintptr_t)option_table[o].alias));
        }
    }
}
END_TEST

START_TEST(mistakes_are_named)
{
    static const struct {
        const char *line;
        const char *message;
    } cases[] = {
        {"-kernal x", "unknown option '-kernal'; did you mean '-kernel'?"},
        {"--devcie x", "unknown option '--devcie'; did you mean '-device'?"},
        {"-zzzzzz", "unknown option '-zzzzzz'; -help lists them all"},
        {"disk.img", "unexpected word 'disk.img': expected an option (a disk is -drive "
                     "file=disk.img)"},
        {"-", "unexpected word '-': expected an option (a disk is -drive file=-)"},
        {"-kernel a -kernel b", "-kernel: is given twice"},
        {"-S -freeze", "-S: is given twice"},
        {"-m", "-m: needs a value: [size=]N[K|M|G|T][,slots=N][,maxmem=N]"},
        {"-m 1x", "-m: memory: property 'size' is '1x': expected a size such as 512M or 2G"},
        {"-m size=1G,maxmen=2G", "-m: memory: unknown property 'maxmen'; did you mean 'maxmem'?"},
        {"-smp 0", "-smp: topology: property 'cpus' is '0': expected a number from 1 to 254"},
        {"-smp 4,clusters=2,modules=2",
         "-smp: clusters and modules are the same: give one of them"},
        {"-machine pc", "-machine: machine: property 'type' is 'pc': expected none, microvm, q35 "
                        "or virt"},
        {"-machine microvm,usb=on",
         "-machine: machine: usb=on is not supported: there is no USB host controller"},
        {"-machine kernel-irqchip=off",
         "-machine: machine: kernel-irqchip=off is not supported: the local APICs are the host "
         "kernel's"},
        {"-machine microvm -M microvm", "-machine: machine: property 'type' is given twice"},
        {"-machine acpi=on -no-acpi", "-machine: machine: acpi=on contradicts -no-acpi"},
        {"-accel tcg", "-accel: accelerator 'tcg': expected kvm or qtest"},
        {"-machine accel=kvm -accel qtest", "-machine: accelerator 'kvm' contradicts -accel"},
        {"-cpu +avx", "-cpu: '+avx' does not begin with a model such as host"},
        {"-cpu host,avx=maybe", "-cpu: feature 'avx' is 'maybe': expected on or off"},
        {"-cpu host,+", "-cpu: '+': expected +feature, -feature or feature=on|off"},
        {"-uuid 1", "-uuid: '1': expected XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX"},
        {"-numa hmat-lb", "-numa: 'hmat-lb': expected node, dist or cpu"},
        {"-numa node,nodeid=1", "-numa: node 0 is missing: ids run from 0 without a gap"},
        {"-numa node,nodeid=0 -numa node,nodeid=0", "-numa: node 0 is given twice"},
        {"-numa node -numa dist,src=0,dst=1,val=20",
         "-numa: distance from node 0 to 1: there are 1 nodes"},
        {"-numa node -numa dist,src=0,dst=0,val=20",
         "-numa: distance from node 0 to 0 is 20: 10 is a node's distance to itself"},
        {"-numa node,mem=1G,memdev=x", "-numa: node 0 has mem and memdev: expected one of them"},
        {"-numa cpu,node-id=0", "-numa: there is no node 0"},
        {"-numa node -numa cpu,node-id=0,core-id=7", "-numa: the topology has no such CPU"},
        {"-object iothraed,id=x",
         "-object: unknown object type 'iothraed'; did you mean 'iothread'?"},
        {"-object id=x", "-object: an object has no type (property 'qom-type')"},
        {"-object memory-backend-ram,id=x,size=1G,policy=bind",
         "-object: object 'x': policy=bind needs host-nodes"},
        {"-object memory-backend-file,id=x,size=1G",
         "-object: object memory-backend-file: property 'mem-path' is missing"},
        {"-drive file=x,if=ide", "-drive: property 'if' is 'ide': expected none, virtio or pflash"},
        {"-device id=x", "-device: 'id=x' has no type: expected TYPE,property=value"},
        {"-device '{\"driver\":'", "-device: not valid JSON at character 11: it ends too early"},
        {"-add-fd fd=1,set=0",
         "-add-fd: descriptor: property 'fd' is '1': expected a number from 3 to 2147483647"},
        {"-global a.b", "-global: default: unknown property 'a.b'"},
        {"-serial ''", "-serial: the value is empty: expected a back end"},
        {"-serial file:", "-serial: the path is empty"},
        {"-serial tcp:4444", "-serial: tcp address '4444': expected HOST:PORT"},
        {"-serial vc", "-serial: not supported: there is no graphical console; use stdio or a "
                       "socket"},
        {"-mon c", "-mon: there is no monitor for people to type at: expected mode=control"},
        {"-monitor stdio", "-monitor: 'stdio': there is no monitor for people to type at: expected "
                           "none (QMP is -qmp)"},
        {"-s -gdb tcp::1", "-gdb: the gdb server is given twice (-s is -gdb tcp::1234)"},
        {"-incoming rdma:x", "-incoming: 'rdma:x': expected defer, file:PATH, fd:N or "
                             "exec:COMMAND"},
        {"-incoming file:", "-incoming: 'file:': expected defer, file:PATH, fd:N or exec:COMMAND"},
        {"-incoming file:x,memroy=map",
         "-incoming: incoming: unknown property 'memroy'; did you mean 'memory'?"},
        {"-incoming file:x,memory=map,mapped=on",
         "-incoming: mapped and memory say the same thing: expected one of them"},
        {"-incoming file:x,memory=copy,fill=off",
         "-incoming: fill is for memory that comes on demand: expected memory=lazy"},
        {"-incoming '{\"addr\":{\"transport\":\"rdma\"}}'",
         "-incoming: channel address with transport 'rdma': expected a complete one of socket "
         "(unix, inet, fd), file or exec"},
        {"-action reboot=off",
         "-action: action: property 'reboot' is 'off': expected reset or shutdown"},
        {"-rtc base=tomorrow", "-rtc: base 'tomorrow': expected utc, localtime or a date such as "
                               "2006-06-17T16:01:21"},
        {"-sandbox on -disable-seccomp", "-disable-seccomp: -sandbox on contradicts "
                                         "-disable-seccomp"},
        {"-display gtk", "-display: 'gtk' is not supported: expected none (there is no display)"},
        {"-overcommit mem-lock=on", "-overcommit: mem-lock=on is not supported"},
        {"-run-with user=me", "-run-with: chroot and user are not supported: start stencil in the "
                              "root and as the user that it shall have"},
        {"-kernel ''", "-kernel: the value is empty: expected FILE"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        assert_refused(cases[i].line, cases[i].message);
    }
}
END_TEST

static char *help_of(const char *line)
{
    OptionsOutcome outcome = {.device_help = fake_device_help,
                              .dump_state = fake_dump_state,
                              .dump_vmstate = fake_dump_vmstate};
    g_autoptr(GError) error = NULL;
    g_autoptr(VmConfig) config = parse_full(line, &outcome, &error);

    ck_assert_msg(config != NULL, "%s: %s", line, error ? error->message : "");
    ck_assert_msg(outcome.text != NULL, "%s", line);
    return outcome.text;
}

START_TEST(help_is_printed_instead_of_starting)
{
    static const struct {
        const char *line;
        const char *part;
    } cases[] = {
        {"-version", "Stencil VMM version "},
        {"-machine help", "microvm"},
        {"-machine microvm,help", "dump-guest-core=<on|off>"},
        {"-M ?", "virt"},
        {"-cpu help", "host"},
        {"-accel help", "qtest"},
        {"-object help", "memory-backend-memfd"},
        {"-object memory-backend-file,help", "mem-path=<str>"},
        {"-device help", "help for all devices"},
        {"-device virtio-blk-device,help", "help for virtio-blk-device"},
        {"-dump-state /tmp/t", "state of /tmp/t"},
        {"-dump-vmstate", "all tables"},
        {"-S -help -no-such-option", "Usage: stencil"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = help_of(cases[i].line);

        ck_assert_msg(strstr(text, cases[i].part) != NULL, "%s: %s", cases[i].line, text);
        ck_assert_msg(g_str_has_suffix(text, "\n"), "%s", cases[i].line);
    }
    assert_refused("-dump-state /bad", "-dump-state: '/bad' cannot be read here");
    assert_refused("-device help", "-device: unknown device type 'help'");
    assert_refused("-object iothraed,help",
                   "-object: unknown object type 'iothraed'; did you mean 'iothread'?");
}
END_TEST

START_TEST(help_lists_every_option_with_its_default)
{
    g_autofree char *wrapped = help_of("-h");
    g_auto(GStrv) lines = g_strsplit(wrapped, "\n        ", /* max_tokens= */ -1);
    g_autofree char *text = g_strjoinv(" ", lines);

    for (size_t o = 0; o < option_count; o++) {
        const Option *option = &option_table[o];
        g_autofree char *start = g_strdup_printf("\n  -%s", option->name);
        const char *found = strstr(text, start);

        while (found && strchr(", \n", found[strlen(start)]) == NULL) {
            found = strstr(found + 1, start);
        }
        ck_assert_msg((found != NULL) == (option->group != OPTION_GROUP_REFUSED), "-%s",
                      option->name);
        if (found && option->default_text) {
            g_autofree char *tail = g_strdup_printf("(default: %s)", option->default_text);

            ck_assert_msg(strstr(found, tail) != NULL, "-%s", option->name);
        }
    }
}
END_TEST

START_TEST(globals_fill_what_a_device_leaves_out)
{
    g_autoptr(VmConfig) config =
        parse("-global virtio-blk-device.serial=a=b -global virtio-blk-device.queue-size=64 "
              "-global driver=virtio-blk-device,property=queue-size,value=128 "
              "-device virtio-blk-device,drive=d,serial=own -device virtio-rng-device");
    PropBag *blk = g_ptr_array_index(config->devices, 0);
    PropBag *rng = g_ptr_array_index(config->devices, 1);

    vm_config_apply_globals(config, blk);
    vm_config_apply_globals(config, rng);
    ck_assert_str_eq(prop_bag_get(blk, "serial"), "own");
    ck_assert_str_eq(prop_bag_get(blk, "queue-size"), "128");
    ck_assert_uint_eq(prop_bag_count(rng), 1);
}
END_TEST

START_TEST(append_joins_words_up_to_the_next_option)
{
    g_autoptr(VmConfig) config = parse("-append console=ttyS0 -kernel k");
    g_autoptr(VmConfig) many = parse("-append console=ttyS0 root=/dev/vda ro -kernel k");
    g_autoptr(VmConfig) dash = parse("-append '-- -x y' -kernel k");

    ck_assert_str_eq(config->boot.append, "console=ttyS0");
    ck_assert_str_eq(many->boot.append, "console=ttyS0 root=/dev/vda ro");
    ck_assert_str_eq(dash->boot.append, "-- -x y");
}
END_TEST

START_TEST(log_file_is_optional)
{
    g_autoptr(VmConfig) with = parse("-D /log -S");
    g_autoptr(VmConfig) without = parse("-D -S");

    ck_assert_str_eq(with->log_file, "/log");
    ck_assert_ptr_null(without->log_file);
    ck_assert(without->start_paused);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("options");

    tcase_add_test(tc, an_empty_command_line_is_the_default_vm);
    tcase_add_test(tc, the_command_that_makes_a_template_parses);
    tcase_add_test(tc, the_command_that_restores_it_parses);
    tcase_add_test(tc, a_restore_needs_no_machine_options);
    tcase_add_test(tc, a_json_channel_is_a_uri);
    tcase_add_test(tc, what_libvirt_writes_for_a_microvm_parses);
    tcase_add_test(tc, what_libvirt_asks_before_parses);
    tcase_add_test(tc, what_a_sandbox_service_writes_parses);
    tcase_add_test(tc, what_nomad_writes_parses);
    tcase_add_test(tc, topology_follows_from_what_is_given);
    tcase_add_test(tc, memory_is_counted_in_mebibytes);
    tcase_add_test(tc, numa_nodes_are_completed);
    tcase_add_test(tc, numa_nodes_share_what_is_not_said);
    tcase_add_test(tc, serial_takes_both_dialects);
    tcase_add_test(tc, nographic_leaves_a_taken_terminal_alone);
    tcase_add_test(tc, every_option_can_be_used);
    tcase_add_test(tc, every_option_that_has_a_value_misses_it);
    tcase_add_test(tc, refused_options_say_why);
    tcase_add_test(tc, no_two_options_share_a_name);
    tcase_add_test(tc, mistakes_are_named);
    tcase_add_test(tc, help_is_printed_instead_of_starting);
    tcase_add_test(tc, help_lists_every_option_with_its_default);
    tcase_add_test(tc, globals_fill_what_a_device_leaves_out);
    tcase_add_test(tc, append_joins_words_up_to_the_next_option);
    tcase_add_test(tc, log_file_is_optional);
    return suite_run("options", tc);
}
