/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/acpi/microvm.h"

#include "machine/acpi/aml.h"
#include "machine/acpi/builder.h"

#include <stdio.h>
#include <string.h>

/* ACPI 6.3, 5.2.9 */
#define FADT_REVISION         6
#define FADT_WBINVD           (1u << 0)
#define FADT_NO_POWER_BUTTON  (1u << 4)
#define FADT_NO_SLEEP_BUTTON  (1u << 5)
#define FADT_RESET_REGISTER   (1u << 10)
#define FADT_HARDWARE_REDUCED (1u << 20)
#define BOOT_ARCH_LEGACY      (1u << 0)
#define BOOT_ARCH_I8042       (1u << 1)
#define BOOT_ARCH_NO_VGA      (1u << 2)
#define BOOT_ARCH_NO_RTC      (1u << 5)

#define DSDT_REVISION         2 /* integers have 64 bits */
#define MAX_VIRTIO            4096

#define NOTIFY_BUTTON_PRESSED 0x80
#define NOTIFY_NEW_GENERATION 0x80
#define NOTIFY_CLOCK_CHANGED  0x80
#define VMCLOCK_PAGE          0x1000

typedef struct __attribute__((packed)) Fadt {
    uint32_t facs;
    uint32_t dsdt;
    uint8_t reserved0;
    uint8_t pm_profile;
    uint8_t fixed_hardware[62]; /* SCI, SMI, PM and GPE blocks, duty, alarms: none when reduced */
    uint8_t century;
    uint16_t boot_arch;
    uint8_t reserved1;
    uint32_t flags;
    AcpiAddress reset;
    uint8_t reset_value;
    uint16_t arm_boot_arch;
    uint8_t minor_revision;
    uint64_t x_facs;
    uint64_t x_dsdt;
    AcpiAddress x_fixed_hardware[8];
    AcpiAddress sleep_control;
    AcpiAddress sleep_status;
    char hypervisor[8];
} Fadt;

G_STATIC_ASSERT(sizeof(AcpiHeader) + sizeof(Fadt) == 276);
G_STATIC_ASSERT(sizeof(AcpiHeader) + offsetof(Fadt, flags) == 112);
G_STATIC_ASSERT(sizeof(AcpiHeader) + offsetof(Fadt, x_dsdt) == 140);

static AcpiAddress byte_register(uint64_t address)
{
    return (AcpiAddress){
        .space = ACPI_SPACE_MEMORY,
        .bit_width = 8,
        .access_size = ACPI_ACCESS_BYTE,
        .address = address,
    };
}

static void add_fadt(AcpiBuilder *builder, const AcpiMicrovm *vm, uint64_t dsdt)
{
    bool has_legacy = vm->serial.port != 0 || vm->rtc.port != 0;
    Fadt fadt = {
        .dsdt = dsdt <= UINT32_MAX ? (uint32_t)dsdt : 0,
        .century = vm->rtc_century,
        .boot_arch = (uint16_t)(BOOT_ARCH_NO_VGA | (has_legacy ? BOOT_ARCH_LEGACY : 0) |
                                (vm->has_i8042 ? BOOT_ARCH_I8042 : 0) |
                                (vm->rtc.port == 0 ? BOOT_ARCH_NO_RTC : 0)),
        .flags = FADT_WBINVD | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON | FADT_RESET_REGISTER |
                 FADT_HARDWARE_REDUCED,
        .reset = byte_register(vm->ged.reset),
        .reset_value = vm->ged.reset_value,
        .x_dsdt = dsdt,
        .sleep_control = byte_register(vm->ged.sleep_control),
        .sleep_status = byte_register(vm->ged.sleep_status),
        .hypervisor = {'S', 'T', 'E', 'N', 'C', 'I', 'L', 0},
    };
    g_autoptr(GByteArray) body = g_byte_array_new();

    g_byte_array_append(body, (const guint8 *)&fadt, sizeof(fadt));
    acpi_builder_add(builder, "FACP", FADT_REVISION, body, /* listed= */ true);
}

static void add_virtio(Aml *aml, const AcpiVirtioMmio *slot, unsigned index)
{
    char name[8];

    g_assert(index < MAX_VIRTIO);
    snprintf(name, sizeof(name), "V%03X", index);
    aml_device(aml, name);
    aml_name(aml, "_HID");
    aml_string(aml, "LNRO0005");
    aml_name(aml, "_UID");
    aml_int(aml, index);
    aml_name(aml, "_CRS");
    aml_resources(aml);
    aml_res_memory32(aml, slot->base, slot->size, /* writable= */ true);
    aml_res_interrupt(aml, slot->gsi, AML_EDGE);
    aml_end(aml);
    aml_end(aml);
}

static void add_isa_resources(Aml *aml, const AcpiIsaDevice *isa)
{
    aml_name(aml, "_CRS");
    aml_resources(aml);
    aml_res_io(aml, isa->port, isa->n_ports);
    if (isa->irq != 0) {
        aml_res_isa_irq(aml, isa->irq);
    }
    aml_end(aml);
}

/* An ISA device with a plug-and-play id, if the VM has it. */
static void add_isa(Aml *aml, const char *name, const char *id, const AcpiIsaDevice *isa)
{
    if (isa->port == 0) {
        return;
    }
    aml_device(aml, name);
    aml_name(aml, "_HID");
    aml_eisaid(aml, id);
    aml_name(aml, "_UID");
    aml_int(aml, 0);
    add_isa_resources(aml, isa);
    aml_end(aml);
}

static void add_pvpanic(Aml *aml, const AcpiIsaDevice *isa)
{
    if (isa->port == 0) {
        return;
    }
    aml_device(aml, "PEVT");
    aml_name(aml, "_HID");
    aml_string(aml, "QEMU0001");
    add_isa_resources(aml, isa);
    aml_end(aml);
}

/* The guest looks for _CID, then maps the 16 bytes that ADDR names by two halves of an address. */
static void add_generation(Aml *aml, uint64_t address)
{
    if (address == 0) {
        return;
    }
    aml_device(aml, "VGEN");
    aml_name(aml, "_HID");
    aml_string(aml, "STCL0001");
    aml_name(aml, "_CID");
    aml_string(aml, "VM_Gen_Counter");
    aml_name(aml, "_DDN");
    aml_string(aml, "VM_Gen_Counter");
    aml_name(aml, "ADDR");
    aml_package(aml, 2);
    aml_int(aml, address & UINT32_MAX);
    aml_int(aml, address >> 32);
    aml_end(aml);
    aml_end(aml);
}

/* A page that the guest maps into its programs. */
static void add_vmclock(Aml *aml, uint32_t address)
{
    if (address == 0) {
        return;
    }
    aml_device(aml, "VCLK");
    aml_name(aml, "_HID");
    aml_string(aml, "AMZNC10C");
    aml_name(aml, "_CID");
    aml_string(aml, "VMCLOCK");
    aml_name(aml, "_DDN");
    aml_string(aml, "VMCLOCK");
    aml_name(aml, "_CRS");
    aml_resources(aml);
    aml_res_memory32(aml, address, VMCLOCK_PAGE, /* writable= */ false);
    aml_end(aml);
    aml_end(aml);
}

static void add_power_button(Aml *aml)
{
    aml_device(aml, "PWRB");
    aml_name(aml, "_HID");
    aml_eisaid(aml, "PNP0C0C");
    aml_name(aml, "_UID");
    aml_int(aml, 0);
    aml_end(aml);
}

/* If (Local0 & 1 << bit) { Notify (device, value) } */
static void notify_on_event(Aml *aml, unsigned bit, const char *device, uint8_t value)
{
    aml_if(aml);
    aml_operator(aml, AML_AND);
    aml_local(aml, 0);
    aml_int(aml, UINT32_C(1) << bit);
    aml_nowhere(aml);
    aml_operator(aml, AML_NOTIFY);
    aml_path(aml, device);
    aml_int(aml, value);
    aml_end(aml);
}

/* The register is read once into Local0, since reading clears it. */
static void add_ged(Aml *aml, const AcpiMicrovm *vm)
{
    const AcpiGed *ged = &vm->ged;

    aml_device(aml, "GED");
    aml_name(aml, "_HID");
    aml_string(aml, "ACPI0013");
    aml_name(aml, "_UID");
    aml_int(aml, 0);
    aml_name(aml, "_CRS");
    aml_resources(aml);
    aml_res_interrupt(aml, ged->gsi, AML_EDGE);
    aml_end(aml);
    aml_region(aml, "EREG", ACPI_SPACE_MEMORY, ged->event, sizeof(uint32_t));
    aml_field32(aml, "EREG", "ESEL");
    aml_method(aml, "_EVT", /* n_args= */ 1, /* serialized= */ true);
    aml_operator(aml, AML_STORE);
    aml_path(aml, "ESEL");
    aml_local(aml, 0);
    notify_on_event(aml, ged->power_button_bit, "\\_SB.PWRB", NOTIFY_BUTTON_PRESSED);
    if (vm->generation_address != 0) {
        notify_on_event(aml, ged->generation_bit, "\\_SB.VGEN", NOTIFY_NEW_GENERATION);
    }
    if (vm->vmclock_address != 0) {
        notify_on_event(aml, ged->vmclock_bit, "\\_SB.VCLK", NOTIFY_CLOCK_CHANGED);
    }
    aml_end(aml);
    aml_end(aml);
}

/* The sleep type of each of two PM1 registers, of which reduced hardware has none but the first. */
static void add_power_off(Aml *aml, uint8_t sleep_type)
{
    aml_name(aml, "\\_S5");
    aml_package(aml, 4);
    aml_int(aml, sleep_type);
    aml_int(aml, 0);
    aml_int(aml, 0);
    aml_int(aml, 0);
    aml_end(aml);
}

static uint64_t add_dsdt(AcpiBuilder *builder, const AcpiMicrovm *vm)
{
    g_autoptr(Aml) aml = aml_new();

    aml_scope(aml, "\\_SB");
    add_isa(aml, "COM1", "PNP0501", &vm->serial);
    add_isa(aml, "RTC", "PNP0B00", &vm->rtc);
    add_pvpanic(aml, &vm->pvpanic);
    add_generation(aml, vm->generation_address);
    add_vmclock(aml, vm->vmclock_address);
    add_power_button(aml);
    add_ged(aml, vm);
    for (size_t i = 0; i < vm->n_virtio; i++) {
        add_virtio(aml, &vm->virtio[i], (unsigned)i);
    }
    aml_end(aml);
    add_power_off(aml, vm->ged.s5_sleep_type);

    g_autoptr(GByteArray) body = aml_finish(aml);

    return acpi_builder_add(builder, "DSDT", DSDT_REVISION, body, /* listed= */ false);
}

GByteArray *acpi_microvm_build(const AcpiMicrovm *vm)
{
    g_autoptr(AcpiBuilder) builder = acpi_builder_new(vm->base);
    uint64_t dsdt = add_dsdt(builder, vm);

    add_fadt(builder, vm, dsdt);
    acpi_add_madt(builder, &vm->topology);
    acpi_add_numa(builder, &vm->topology);
    return acpi_builder_finish(builder);
}
