/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_ACPI_MICROVM_H
#define MACHINE_ACPI_MICROVM_H

/*
 * The ACPI tables of a microvm: hardware-reduced, so there is no PM timer, no SCI, no legacy PIC
 * and no fixed power button.  Everything a stock kernel needs to find is in here:
 *
 *      FADT    says so, and where to write for power-off (sleep control) and reboot (reset)
 *      DSDT    virtio-mmio slots, COM1, RTC, pvpanic, VM generation id, VMClock, and the GED: one
 *              edge interrupt whose event register says what happened (power button, ...)
 *      MADT    CPUs and I/O APICs
 *      SRAT, SLIT   only when NUMA nodes are given
 *
 * The description is plain data: the machine fills it from its memory map and its device list.
 */

#include "machine/acpi/topology.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct AcpiVirtioMmio {
    uint32_t base;
    uint32_t size;
    uint32_t gsi;
} AcpiVirtioMmio;

typedef struct AcpiIsaDevice {
    uint16_t port; /* 0: the VM has none */
    uint8_t n_ports;
    uint8_t irq; /* 0: it raises none */
} AcpiIsaDevice;

/* The generic event device's registers; each event has a bit, 0 .. 31, of the event register. */
typedef struct AcpiGed {
    uint64_t event; /* 32 bits wide */
    uint64_t sleep_control;
    uint64_t sleep_status;
    uint64_t reset;
    uint8_t reset_value;
    uint8_t s5_sleep_type; /* what sleep control is given to power off */
    uint32_t gsi;
    unsigned power_button_bit;
    unsigned generation_bit;
    unsigned vmclock_bit;
} AcpiGed;

typedef struct AcpiMicrovm {
    uint64_t base; /* guest address of the RSDP, a multiple of 64 */

    AcpiTopology topology;

    AcpiGed ged;
    const AcpiVirtioMmio *virtio;
    size_t n_virtio; /* at most 4096 */
    AcpiIsaDevice serial;
    AcpiIsaDevice rtc;
    uint8_t rtc_century; /* CMOS index of the century; 0: none */
    AcpiIsaDevice pvpanic;
    bool has_i8042;
    uint64_t generation_address; /* the 16-byte VM generation id; 0: none */
    uint32_t vmclock_address;    /* the VMClock page; 0: none */
} AcpiMicrovm;

/* The table set for vm->base; the RSDP is its first byte. */
GByteArray *acpi_microvm_build(const AcpiMicrovm *vm);

#endif
