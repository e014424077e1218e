/* SPDX-License-Identifier: Apache-2.0 */
/*
 * -machine and -accel: which machine, run by whom.
 */
#include "machine/options_private.h"
#include "util/error.h"
#include "util/text.h"

#include <string.h>

/* ---- -machine ---------------------------------------------------------------------------- */

static const char *const irqchip_names[] = {"split", "on", "off", NULL};
enum {
    IRQCHIP_OFF = 2
};

/* What a guest would see and no machine here has yet; "off" is what they are. */
static const struct {
    const char *name;
    const char *reason;
} absent_parts[] = {
    {"usb", "there is no USB host controller"},
    {"pcie", "microvm has no PCI; that is -machine q35"},
    {"ioapic2", "one IOAPIC has pins for every device"},
    {"nvdimm", "there are no NVDIMMs"},
    {"hmat", "there is no HMAT"},
    {"smm", "there is no system management mode"},
    {"vmport", "there is no VMware port"},
    {"sata", "there is no SATA controller"},
    {"smbus", "there is no SMBus"},
};

typedef struct MachineProps {
    MachineConfig machine;
    unsigned type;
    char *accel;
    bool acpi_given;
    unsigned irqchip;
    bool absent[G_N_ELEMENTS(absent_parts)];
} MachineProps;

#define MEMBER(name) .offset = offsetof(MachineProps, name)

static const PropDesc machine_props[] = {
    {.name = "type",
     .type = PROP_ENUM,
     MEMBER(type),
     .names = machine_type_names,
     .default_text = "microvm",
     .help = "the machine model"},
    {.name = "accel",
     .type = PROP_STRING,
     MEMBER(accel),
     .help = "kvm or qtest; the first usable one of a list with ':'"},
    {.name = "acpi",
     .type = PROP_ON_OFF_AUTO,
     MEMBER(machine.acpi),
     .given_offset = offsetof(MachineProps, acpi_given),
     .default_text = "auto",
     .help = "ACPI tables and power button"},
    {.name = "mem-share",
     .type = PROP_BOOL,
     MEMBER(machine.mem_share),
     .default_text = "off",
     .help = "RAM that other processes (vhost-user) can map"},
    {.name = "dump-guest-core",
     .type = PROP_BOOL,
     MEMBER(machine.dump_guest_core),
     .default_text = "on",
     .help = "RAM is part of a core dump of this process"},
    {.name = "mem-merge",
     .type = PROP_ON_OFF_AUTO,
     MEMBER(machine.mem_merge),
     .default_text = "auto",
     .help = "offer RAM to the host's same-page merging"},
    {.name = "memory-backend",
     .type = PROP_STRING,
     MEMBER(machine.memory_backend),
     .help = "id of the -object that is the RAM"},
    {.name = "pit",
     .type = PROP_ON_OFF_AUTO,
     MEMBER(machine.pit),
     .default_text = "auto",
     .help = "8254 timer"},
    {.name = "pic",
     .type = PROP_ON_OFF_AUTO,
     MEMBER(machine.pic),
     .default_text = "auto",
     .help = "8259 interrupt controllers"},
    {.name = "rtc",
     .type = PROP_ON_OFF_AUTO,
     MEMBER(machine.rtc),
     .default_text = "auto",
     .help = "CMOS clock"},
    {.name = "isa-serial",
     .type = PROP_ON_OFF_AUTO,
     MEMBER(machine.isa_serial),
     .default_text = "auto",
     .help = "16550 at 0x3f8; auto: if -serial is given"},
    {.name = "auto-kernel-cmdline",
     .type = PROP_BOOL,
     MEMBER(machine.auto_kernel_cmdline),
     .default_text = "on",
     .help = "tell the kernel its virtio-mmio devices by words of its command line"},
    {.name = "kernel-irqchip",
     .type = PROP_ENUM,
     MEMBER(irqchip),
     .names = irqchip_names,
     .default_text = "split",
     .help = "on means split; off is refused"},
    {.name = "x-option-roms", .type = PROP_BOOL, .ignored = true, .help = "there are no ROMs"},
    {.name = "graphics", .type = PROP_BOOL, .ignored = true, .help = "there is no display"},
    {.name = "hpet", .type = PROP_BOOL, .ignored = true, .help = "there is no HPET"},
    {.name = "fd-bootchk", .type = PROP_BOOL, .ignored = true, .help = "there is no floppy"},
    {.name = "gic-version", .type = PROP_STRING, .ignored = true, .help = "always 3 on virt"},
    {.name = "suppress-vmdesc", .type = PROP_BOOL, .ignored = true, .help = "another format"},
    {.name = "enforce-config-section",
     .type = PROP_BOOL,
     .ignored = true,
     .help = "always enforced"},
    /* in the order of absent_parts */
    {.name = "usb", .type = PROP_BOOL, MEMBER(absent[0]), .help = "off only"},
    {.name = "pcie", .type = PROP_BOOL, MEMBER(absent[1]), .help = "off only"},
    {.name = "ioapic2", .type = PROP_BOOL, MEMBER(absent[2]), .help = "off only"},
    {.name = "nvdimm", .type = PROP_BOOL, MEMBER(absent[3]), .help = "off only"},
    {.name = "hmat", .type = PROP_BOOL, MEMBER(absent[4]), .help = "off only"},
    {.name = "smm", .type = PROP_BOOL, MEMBER(absent[5]), .help = "off only"},
    {.name = "vmport", .type = PROP_BOOL, MEMBER(absent[6]), .help = "off only"},
    {.name = "sata", .type = PROP_BOOL, MEMBER(absent[7]), .help = "off only"},
    {.name = "smbus", .type = PROP_BOOL, MEMBER(absent[8]), .help = "off only"},
};

static const PropTable machine_table = PROP_TABLE("machine", machine_props, MachineProps);

static const struct {
    MachineType type;
    const char *help;
} machine_helps[] = {
    {MACHINE_MICROVM, "minimal x86-64 machine, virtio-mmio devices, direct kernel boot (default)"},
    {MACHINE_Q35, "x86-64 machine with PCI Express"},
    {MACHINE_VIRT, "AArch64 machine"},
    {MACHINE_NONE, "no machine: for clients that ask what there is"},
};

static char *machine_help(bool of_type)
{
    GString *text = g_string_new(NULL);

    if (of_type) {
        g_string_append(text, "Properties of -machine:\n");

        g_autofree char *props = props_help(&machine_table);

        g_string_append(text, props);
    } else {
        g_string_append(text, "Machines (-machine microvm,help lists the properties):\n");
        for (size_t i = 0; i < G_N_ELEMENTS(machine_helps); i++) {
            g_string_append_printf(text, "  %-10s %s\n", machine_type_names[machine_helps[i].type],
                                   machine_helps[i].help);
        }
    }
    return g_string_free(text, /* free_segment= */ FALSE);
}

/* QEMU takes an underscore for a dash here; nowhere else. */
static void add_machine_prop(PropBag *machine, const char *key, const char *value)
{
    g_autofree char *dashed = g_strdelimit(g_strdup(key), "_", '-');

    prop_bag_add(machine, dashed, value);
}

bool option_set_machine(OptionsParser *parser, const Option *option, const char *value,
                        GError **error)
{
    g_autoptr(PropBag) bag = props_parse(value, option->implied_key, error);

    if (!bag) {
        return false;
    }
    if (prop_bag_wants_help(bag)) {
        parser->outcome->text = machine_help(prop_bag_count(bag) > 1);
        return true;
    }
    for (size_t i = 0; i < prop_bag_count(bag); i++) {
        add_machine_prop(parser->machine, prop_bag_key(bag, i), prop_bag_value(bag, i));
    }
    parser->config->given.machine = true;
    return true;
}

bool option_set_no_acpi(OptionsParser *parser, const Option *option, const char *value,
                        GError **error)
{
    (void)option;
    (void)value;
    (void)error;
    parser->acpi_off = true;
    return true;
}

static bool choose_accel(OptionsParser *parser, const char *list, const char *from, GError **error);

static bool finish_machine_props(OptionsParser *parser, MachineProps *props, GError **error)
{
    MachineConfig *machine = &parser->config->machine;

    for (size_t i = 0; i < G_N_ELEMENTS(absent_parts); i++) {
        if (props->absent[i]) {
            return fail(error, VMM_ERROR_CONFIG, "machine: %s=on is not supported: %s",
                        absent_parts[i].name, absent_parts[i].reason);
        }
    }
    if (props->irqchip == IRQCHIP_OFF) {
        return fail(error, VMM_ERROR_CONFIG,
                    "machine: kernel-irqchip=off is not supported: the local APICs are the host "
                    "kernel's");
    }
    if (parser->acpi_off && props->acpi_given && props->machine.acpi == ON_OFF_AUTO_ON) {
        return fail(error, VMM_ERROR_CONFIG, "machine: acpi=on contradicts -no-acpi");
    }
    if (props->accel && !choose_accel(parser, props->accel, "-machine accel=", error)) {
        return false;
    }
    *machine = props->machine;
    machine->type = props->type;
    if (parser->acpi_off) {
        machine->acpi = ON_OFF_AUTO_OFF;
    }
    machine->memory_backend = g_steal_pointer(&props->machine.memory_backend);
    return true;
}

bool options_finish_machine(OptionsParser *parser, GError **error)
{
    MachineProps props = {0};
    bool ok = props_apply(&machine_table, parser->machine, &props, error) &&
              finish_machine_props(parser, &props, error);

    props_clear(&machine_table, &props);
    if (!ok) {
        g_prefix_error(error, "-machine: ");
    }
    return ok;
}

/* ---- -accel ------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    AccelType type;
} accel_words[] = {
    {"kvm", ACCEL_KVM},
    {"qtest", ACCEL_QTEST},
    {"test", ACCEL_QTEST},
};

/* The first of "kvm:tcg" that there is. */
static bool choose_accel(OptionsParser *parser, const char *list, const char *from, GError **error)
{
    g_auto(GStrv) words = g_strsplit(list, ":", /* max_tokens= */ -1);

    for (size_t w = 0; words[w]; w++) {
        for (size_t i = 0; i < G_N_ELEMENTS(accel_words); i++) {
            if (strcmp(words[w], accel_words[i].name) != 0) {
                continue;
            }
            if (parser->accel_from && parser->config->accel != accel_words[i].type) {
                return fail(error, VMM_ERROR_CONFIG, "accelerator '%s' contradicts %s", list,
                            parser->accel_from);
            }
            parser->config->accel = accel_words[i].type;
            parser->config->given.accel = true;
            parser->accel_from = from;
            return true;
        }
    }
    return fail(error, VMM_ERROR_CONFIG, "accelerator '%s': expected kvm or qtest", list);
}

typedef struct AccelProps {
    char *name;
} AccelProps;

static const PropDesc accel_props[] = {
    {.name = "accel",
     .type = PROP_STRING,
     .offset = offsetof(AccelProps, name),
     .required = true,
     .help = "kvm: the host's KVM; qtest: no CPU runs, a test drives the devices"},
    {.name = "kernel-irqchip", .type = PROP_STRING, .ignored = true, .help = "always split"},
    {.name = "dirty-ring-size", .type = PROP_UINT, .ignored = true, .help = "not needed"},
    {.name = "kvm-shadow-mem", .type = PROP_SIZE, .ignored = true, .help = "not needed"},
    {.name = "thread", .type = PROP_STRING, .ignored = true, .help = "one thread per vCPU"},
};

static const PropTable accel_table = PROP_TABLE("accelerator", accel_props, AccelProps);

/* "-accel kvm -accel tcg" names alternatives too: once one was chosen, later ones are spare. */
bool option_set_accel(OptionsParser *parser, const Option *option, const char *value,
                      GError **error)
{
    g_autoptr(PropBag) bag = props_parse(option->fixed ? option->fixed : value, "accel", error);
    AccelProps props;
    bool spare = g_strcmp0(parser->accel_from, "-accel") == 0 && !option->fixed;

    if (!bag) {
        return false;
    }
    if (prop_bag_wants_help(bag)) {
        parser->outcome->text = props_help(&accel_table);
        return true;
    }
    if (!props_apply(&accel_table, bag, &props, error)) {
        return false;
    }

    bool ok =
        spare || choose_accel(parser, props.name, option->fixed ? "-enable-kvm" : "-accel", error);

    props_clear(&accel_table, &props);
    return ok;
}
