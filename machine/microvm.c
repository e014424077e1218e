/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The microvm: what a Linux guest needs and nothing else.  No PCI, no PIC, no PIT, no firmware.
 *
 *     0            .. 0xc0000000     RAM below the hole
 *     0xf0000000   .. + 8            generic event device: power button, power-off, reset
 *     0xf0100000   .. + 0x200 each   virtio-mmio slots, in the order of -device
 *     0xfec00000                     I/O APIC (ours)
 *     0xfee00000                     local APICs (KVM's)
 *     0xfeffc000   .. 0xff000000     four pages that KVM uses on old processors
 *     0x100000000  ..                the rest of the RAM
 *
 *     ports  0x60 0x64 i8042   0x70 0x71 RTC   0xf4 debug exit   0x3f8 COM1   0x505 pvpanic
 *     GSIs   4 COM1   8 RTC   9 generic event device   5-7 10-12 14 15 16.. virtio, edge-triggered
 *
 * A kernel finds all of it in the ACPI tables; with acpi=off in an MP table and in words on its
 * command line.
 */
#include "machine/microvm.h"

#include "devices/platform/cmos.h"
#include "devices/platform/ged.h"
#include "devices/platform/i8042.h"
#include "devices/platform/ioapic.h"
#include "devices/serial/isa_serial.h"
#include "devices/virtio/mmio.h"
#include "machine/acpi/microvm.h"
#include "machine/boot/kernel.h"
#include "machine/boot/layout.h"
#include "machine/boot/mptable.h"
#include "machine/machines.h"
#include "machine/numa.h"
#include "machine/ram.h"
#include "machine/rtc_base.h"
#include "util/bytes.h"
#include "util/error.h"

/* A place for a virtio device. */
typedef struct Slot {
    VirtioDevice *device;
    uint32_t base;
    unsigned gsi;
} Slot;

struct Machine {
    Device *ioapic; /* the VM's list owns the devices */
    Device *ged;    /* NULL without ACPI */
    GArray *slots;  /* of Slot, in order */

    /* Opened at the first load and kept: a reset loads the same files, wherever paths lead by then. */
    BootImage kernel;
    BootImage initrd;
};

/* What the guest writes to power off and to reset, and which event is which. */
#define IOAPIC_ID        0
#define S5_SLEEP_TYPE    5
#define RESET_VALUE      0x42
#define POWER_BUTTON_BIT 0
#define GENERATION_BIT   1
#define VMCLOCK_BIT      2

static const RamLayout ram_layout = {.low_end = 3 * GIB, .high_base = 4 * GIB};

/* The legacy interrupts that virtio may use, then everything from 16 on. */
static const unsigned low_virtio_gsis[] = {5, 6, 7, 10, 11, 12, 14, 15};

unsigned microvm_virtio_gsi(unsigned slot)
{
    const unsigned low = G_N_ELEMENTS(low_virtio_gsis);

    if (slot < low) {
        return low_virtio_gsis[slot];
    }
    /* There is no end to the slots; with more than a hundred of them, some share a wire. */
    return 16 + (slot - low) % (IOAPIC_MAX_PINS - 16);
}

static unsigned microvm_interrupt_pins(const VmConfig *config)
{
    unsigned pins = IOAPIC_MIN_PINS;

    for (unsigned slot = 0; slot < config->devices->len; slot++) {
        pins = MAX(pins, microvm_virtio_gsi(slot) + 1);
    }
    return pins;
}

static bool has_acpi(const Vm *vm)
{
    return vm->config->machine.acpi != ON_OFF_AUTO_OFF;
}

static bool microvm_map_memory(Vm *vm, const TemplateReader *template, GError **error)
{
    const RamSources sources = vm_ram_sources(vm, template);
    return ram_map(&sources, vm->memory, &ram_layout, error);
}

/* The I/O APIC first: everybody else's wires lead to it. */
static bool add_ioapic(Vm *vm, GError **error)
{
    const IoapicConfig config = {
        .n_pins = microvm_interrupt_pins(vm->config),
        .hypervisor = vm->hypervisor,
    };

    vm->machine->ioapic = ioapic_new("ioapic", &config);
    return vm_add_device(vm, vm->machine->ioapic, error) &&
           bus_map(vm->mmio,
                   &(BusWindow){.base = IOAPIC_MMIO_BASE,
                                .size = IOAPIC_MMIO_SIZE,
                                .owner = "ioapic",
                                .ops = &ioapic_bus_ops,
                                .opaque = vm->machine->ioapic},
                   error);
}

static IrqLine wire(Vm *vm, unsigned pin)
{
    return vm_wire(vm, ioapic_line(vm->machine->ioapic, pin), pin);
}

static bool add_serial(Vm *vm, GError **error)
{
    const GPtrArray *serials = vm->config->serials;
    IsaSerialConfig config = {
        .ports = vm->ports,
        .port = ISA_SERIAL_COM1_PORT,
        .irq = wire(vm, ISA_SERIAL_COM1_IRQ),
        .loop = vm->loop,
    };
    const char *chardev;

    if (serials->len == 0) {
        return true;
    }
    if (serials->len > 1) {
        return fail(error, VMM_ERROR_CONFIG, "machine microvm has one serial port, not %u",
                    serials->len);
    }
    chardev = prop_bag_get(serials->pdata[0], "chardev");
    if (chardev) {
        config.chardev = backends_find_chardev(vm->backends, chardev, error);
        if (!config.chardev) {
            return false;
        }
    }
    return vm_add_device(vm, isa_serial_new("serial0", &config), error);
}

static void guest_reset(void *opaque, uint32_t value)
{
    (void)value;
    vm_request(opaque,
               &(VmRequest){.kind = VM_REQUEST_RESET, .from_guest = true, .reason = "guest-reset"});
}

static void guest_power_off(void *opaque, uint32_t value)
{
    (void)value;
    vm_request(
        opaque,
        &(VmRequest){.kind = VM_REQUEST_SHUTDOWN, .from_guest = true, .reason = "guest-shutdown"});
}

static bool add_ged(Vm *vm, GError **error)
{
    const GedConfig config = {
        .mmio = vm->mmio,
        .base = MICROVM_GED,
        .irq = wire(vm, MICROVM_GSI_GED),
        .s5_sleep_type = S5_SLEEP_TYPE,
        .reset_value = RESET_VALUE,
        .power_off = {guest_power_off, vm},
        .reset = {guest_reset, vm},
    };

    if (!has_acpi(vm)) {
        return true;
    }
    vm->machine->ged = ged_new("ged", &config);
    return vm_add_device(vm, vm->machine->ged, error);
}

static void ring_generation(void *opaque, uint32_t value)
{
    const Vm *vm = opaque;

    (void)value;
    ged_raise(vm->machine->ged, GENERATION_BIT);
}

static void ring_vmclock(void *opaque, uint32_t value)
{
    const Vm *vm = opaque;

    (void)value;
    ged_raise(vm->machine->ged, VMCLOCK_BIT);
}

/* Only ACPI can tell a guest where these are. */
static void lend_notices(Vm *vm)
{
    if (has_acpi(vm)) {
        vm->device_context.vmgenid = (RamNotice){BOOT_GENERATION, {ring_generation, vm}};
        vm->device_context.vmclock = (RamNotice){BOOT_VMCLOCK, {ring_vmclock, vm}};
    }
}

static bool has_rtc(const Vm *vm)
{
    return vm->config->machine.rtc != ON_OFF_AUTO_OFF;
}

static bool add_rtc(Vm *vm, GError **error)
{
    uint64_t size = vm->config->memory.size;
    CmosConfig config = {
        .ports = vm->ports,
        .irq = wire(vm, CMOS_IRQ),
        .clock = vm->clock,
        .ram_below_4g = MIN(size, ram_layout.low_end),
        .ram_above_4g = size - MIN(size, ram_layout.low_end),
    };

    return !has_rtc(vm) ||
           (rtc_base_offset(vm->config->rtc.base, g_get_real_time() / G_USEC_PER_SEC,
                            &config.offset_s, error) &&
            vm_add_device(vm, cmos_new("rtc", &config), error));
}

static bool add_i8042(Vm *vm, GError **error)
{
    const I8042Config config = {
        .ports = vm->ports,
        .irq = wire(vm, I8042_IRQ),
        .reset = {guest_reset, vm},
    };

    return vm_add_device(vm, i8042_new("i8042", &config), error);
}

/* A virtio device gets the next slot: registers, interrupt and a place in the tables. */
static bool add_virtio(Vm *vm, VirtioDevice *dev, GError **error)
{
    GArray *slots = vm->machine->slots;
    const Slot slot = {
        .device = dev,
        .base = MICROVM_VIRTIO_BASE + slots->len * MICROVM_VIRTIO_SIZE,
        .gsi = microvm_virtio_gsi(slots->len),
    };
    const IrqLine irq = wire(vm, slot.gsi);
    g_autofree char *id = g_strdup_printf("virtio-mmio.%u", slots->len);
    Device *transport = virtio_mmio_new(id, dev, &irq);

    g_array_append_val(slots, slot);
    if (!vm_add_device(vm, &dev->base, error)) {
        device_free(transport);
        return false;
    }
    return vm_add_device(vm, transport, error) && bus_map(vm->mmio,
                                                          &(BusWindow){.base = slot.base,
                                                                       .size = MICROVM_VIRTIO_SIZE,
                                                                       .owner = dev->base.id,
                                                                       .ops = &virtio_mmio_bus_ops,
                                                                       .opaque = transport},
                                                          error);
}

/* The first -device of that type, or NULL. */
static const PropBag *find_given(const Vm *vm, const char *type)
{
    const GPtrArray *devices = vm->config->devices;

    for (guint i = 0; i < devices->len; i++) {
        if (g_strcmp0(prop_bag_type(devices->pdata[i]), type) == 0) {
            return devices->pdata[i];
        }
    }
    return NULL;
}

static bool add_device(Vm *vm, const PropBag *given, unsigned number, GError **error)
{
    g_autoptr(PropBag) bag = prop_bag_copy(given);
    const DeviceType *type = device_type_lookup(prop_bag_type(bag), error);
    g_autofree char *made_up = g_strdup_printf("device%u", number);
    const char *id = prop_bag_id(bag);
    const PropBag *first;
    Device *dev;

    if (!type) {
        return false;
    }
    if (!id) {
        id = type->bus == DEVICE_BUS_BOARD ? type->name : made_up;
    }
    first = find_given(vm, type->name);
    if (type->bus == DEVICE_BUS_BOARD && first && first != given) {
        return fail(error, VMM_ERROR_CONFIG, "device %s: there can be one %s only", id, type->name);
    }
    vm_config_apply_globals(vm->config, bag);
    dev = type->create(&vm->device_context, id, bag, error);
    if (!dev) {
        g_prefix_error(error, "device %s: ", id);
        return false;
    }
    if (type->bus == DEVICE_BUS_VIRTIO) {
        return add_virtio(vm, (VirtioDevice *)dev, error);
    }
    return vm_add_device(vm, dev, error);
}

/* Every VM that can tell its guest tells it when it becomes a clone. */
static bool add_identity(Vm *vm, GError **error)
{
    static const char *const types[] = {"vmgenid", "vmclock"};

    for (size_t i = 0; has_acpi(vm) && i < G_N_ELEMENTS(types); i++) {
        g_autoptr(PropBag) bag = prop_bag_new("driver");

        prop_bag_add(bag, "driver", types[i]);
        if (!find_given(vm, types[i]) && !add_device(vm, bag, 0, error)) {
            return false;
        }
    }
    return true;
}

static bool microvm_build(Vm *vm, GError **error)
{
    const GPtrArray *devices = vm->config->devices;

    vm->machine = g_new0(Machine, 1);
    vm->machine->kernel.fd = -1;
    vm->machine->initrd.fd = -1;
    vm->machine->slots = g_array_new(FALSE, FALSE, sizeof(Slot));
    lend_notices(vm);
    if (!add_ioapic(vm, error) || !add_ged(vm, error) || !add_rtc(vm, error) ||
        !add_i8042(vm, error) || !add_serial(vm, error) || !add_identity(vm, error)) {
        return false;
    }
    for (guint i = 0; i < devices->len; i++) {
        if (!add_device(vm, devices->pdata[i], i, error)) {
            return false;
        }
    }
    return true;
}

/* ---- what the guest finds ------------------------------------------------------------------- */

/* The words by which a kernel without ACPI learns of the slots. */
static char *kernel_cmdline(const Vm *vm)
{
    const GArray *slots = vm->machine->slots;
    g_autoptr(GString) line = g_string_new(vm->config->boot.append);

    if (!vm->config->machine.auto_kernel_cmdline) {
        return g_strdup(line->str);
    }
    for (guint i = 0; i < slots->len; i++) {
        const Slot *slot = &g_array_index(slots, Slot, i);

        g_string_append_printf(line, "%svirtio_mmio.device=%u@0x%x:%u", line->len > 0 ? " " : "",
                               MICROVM_VIRTIO_SIZE, slot->base, slot->gsi);
    }
    return g_strdup(line->str);
}

static AcpiVirtioMmio *acpi_slots(const GArray *slots)
{
    AcpiVirtioMmio *list = g_new0(AcpiVirtioMmio, slots->len + 1);

    for (guint i = 0; i < slots->len; i++) {
        const Slot *slot = &g_array_index(slots, Slot, i);

        list[i] = (AcpiVirtioMmio){slot->base, MICROVM_VIRTIO_SIZE, slot->gsi};
    }
    return list;
}

static bool write_tables(Vm *vm, uint64_t base, const GByteArray *tables, GError **error)
{
    if (tables->len > BOOT_VMCLOCK - base) {
        return fail(error, VMM_ERROR_CONFIG,
                    "the firmware tables have %u bytes, there is room for %u", tables->len,
                    (unsigned)(BOOT_VMCLOCK - base));
    }
    return guest_mem_write(vm->memory, GPA(base), tables->data, tables->len, error);
}

static bool write_acpi(Vm *vm, GError **error)
{
    const unsigned cpus = vm->config->smp.cpus;
    const GArray *slots = vm->machine->slots;
    const AcpiIoapic ioapic = {.id = IOAPIC_ID, .address = IOAPIC_MMIO_BASE, .gsi_base = 0};
    g_autofree AcpiCpu *cpu = g_new0(AcpiCpu, cpus);
    g_autofree AcpiVirtioMmio *virtio = acpi_slots(slots);
    g_autoptr(GByteArray) tables = NULL;
    NumaTables numa;
    AcpiMicrovm acpi = {
        .base = BOOT_ACPI,
        .topology = {.cpus = cpu,
                     .n_cpus = cpus,
                     .lapic_address = MICROVM_LAPIC,
                     .ioapics = &ioapic,
                     .n_ioapics = 1},
        .ged = {.event = MICROVM_GED + GED_EVENT,
                .sleep_control = MICROVM_GED + GED_SLEEP_CONTROL,
                .sleep_status = MICROVM_GED + GED_SLEEP_STATUS,
                .reset = MICROVM_GED + GED_RESET,
                .reset_value = RESET_VALUE,
                .s5_sleep_type = S5_SLEEP_TYPE,
                .gsi = MICROVM_GSI_GED,
                .power_button_bit = POWER_BUTTON_BIT,
                .generation_bit = GENERATION_BIT,
                .vmclock_bit = VMCLOCK_BIT},
        .virtio = virtio,
        .n_virtio = slots->len,
        .has_i8042 = true,
        .generation_address = vm->device_context.vmgenid.address,
        .vmclock_address = (uint32_t)vm->device_context.vmclock.address,
    };

    for (unsigned i = 0; i < cpus; i++) {
        cpu[i].apic_id = vm->cpu_model ? cpu_model_hardware_id(vm->cpu_model, i) : i;
    }
    if (vm->config->serials->len > 0) {
        acpi.serial = (AcpiIsaDevice){ISA_SERIAL_COM1_PORT, ISA_SERIAL_PORTS, ISA_SERIAL_COM1_IRQ};
    }
    if (has_rtc(vm)) {
        acpi.rtc = (AcpiIsaDevice){CMOS_PORT, CMOS_PORTS, CMOS_IRQ};
        acpi.rtc_century = CMOS_CENTURY;
    }
    numa_describe(vm->config, &ram_layout, cpu, &acpi.topology, &numa);
    tables = acpi_microvm_build(&acpi);
    numa_tables_clear(&numa);
    return write_tables(vm, BOOT_ACPI, tables, error);
}

/* For kernels that run without ACPI. */
static bool write_mptable(Vm *vm, GError **error)
{
    const unsigned cpus = vm->config->smp.cpus;
    g_autofree uint32_t *ids = g_new0(uint32_t, cpus);
    g_autoptr(GByteArray) table = NULL;
    const MpTableConfig config = {
        .address = BOOT_MP_TABLE,
        .apic_ids = ids,
        .n_cpus = cpus,
        .lapic_address = MICROVM_LAPIC,
        .ioapic_id = IOAPIC_ID,
        .ioapic_address = IOAPIC_MMIO_BASE,
        .ioapic_pins = (uint8_t)microvm_interrupt_pins(vm->config),
    };

    for (unsigned i = 0; i < cpus; i++) {
        ids[i] = vm->cpu_model ? cpu_model_hardware_id(vm->cpu_model, i) : i;
    }
    table = mptable_build(&config, error);
    return table && write_tables(vm, BOOT_MP_TABLE, table, error);
}

static bool open_images(Vm *vm, GError **error)
{
    const BootConfig *boot = &vm->config->boot;
    Machine *machine = vm->machine;

    if (!boot->kernel) {
        return fail(error, VMM_ERROR_CONFIG, "machine microvm has no firmware: it needs -kernel");
    }
    return (machine->kernel.fd >= 0 ||
            boot_image_open(&machine->kernel, vm->fd_sets, boot->kernel, error)) &&
           (!boot->initrd || machine->initrd.fd >= 0 ||
            boot_image_open(&machine->initrd, vm->fd_sets, boot->initrd, error));
}

static bool microvm_load(Vm *vm, VcpuEntry *ret_entry, GError **error)
{
    Machine *machine = vm->machine;
    g_autofree char *cmdline = kernel_cmdline(vm);
    const KernelConfig config = {
        .cmdline = cmdline,
        .rsdp = has_acpi(vm) ? BOOT_ACPI : 0,
    };

    if (!vm->config->boot.kernel && vm->config->accel == ACCEL_QTEST) {
        *ret_entry = (VcpuEntry){.mode = VCPU_ENTRY_POWER_ON};
        return true;
    }
    return open_images(vm, error) &&
           kernel_load_images(vm->memory, &machine->kernel,
                              machine->initrd.fd >= 0 ? &machine->initrd : NULL, &config, ret_entry,
                              error) &&
           (has_acpi(vm) ? write_acpi(vm, error) : write_mptable(vm, error));
}

static bool microvm_power_button(Vm *vm)
{
    if (!vm->machine->ged) {
        return false;
    }
    ged_raise(vm->machine->ged, POWER_BUTTON_BIT);
    return true;
}

static bool microvm_doorbell(Vm *vm, const VirtioDevice *dev, unsigned queue,
                             IoEventFd *ret_doorbell)
{
    const GArray *slots = vm->machine->slots;

    for (guint i = 0; i < slots->len; i++) {
        const Slot *slot = &g_array_index(slots, Slot, i);

        if (slot->device == dev) {
            *ret_doorbell = (IoEventFd){.address = slot->base + VIRTIO_MMIO_NOTIFY,
                                        .size = 4,
                                        .match_data = true,
                                        .data = queue};
            return true;
        }
    }
    return false;
}

static void microvm_eoi(Machine *machine, unsigned vector)
{
    ioapic_eoi(machine->ioapic, (uint8_t)vector);
}

static void microvm_free(Machine *machine)
{
    if (machine) {
        boot_image_close(&machine->kernel);
        boot_image_close(&machine->initrd);
        g_array_unref(machine->slots);
        g_free(machine);
    }
}

const MachineOps microvm_ops = {
    .name = "microvm",
    .description = "virtio-mmio devices, no PCI, no firmware",
    .max_cpus = CONFIG_MAX_CPUS,
    .interrupt_pins = microvm_interrupt_pins,
    .map_memory = microvm_map_memory,
    .build = microvm_build,
    .load = microvm_load,
    .power_button = microvm_power_button,
    .doorbell = microvm_doorbell,
    .eoi = microvm_eoi,
    .free = microvm_free,
};
