/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_ACPI_AML_H
#define MACHINE_ACPI_AML_H

/*
 * A writer of AML, the byte code of a DSDT.  Calls follow the order of the byte code: a call that
 * opens something with a body (scope, device, method, package, resources, ...) is closed by
 * aml_end(), an operator is followed by its operands:
 *
 *      aml_device(aml, "PWRB");                    Device (PWRB) {
 *      aml_name(aml, "_HID");                          Name (_HID,
 *      aml_eisaid(aml, "PNP0C0C");                         EisaId ("PNP0C0C"))
 *      aml_end(aml);                               }
 *
 * Wrong nesting and names that are no names are bugs of the caller, hence asserted.  Section
 * numbers are those of ACPI 6.3.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Aml Aml;

Aml *aml_new(void);
void aml_free(Aml *aml);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Aml, aml_free)

/* Everything must be closed; the bytes belong to the caller, the writer is empty afterwards. */
GByteArray *aml_finish(Aml *aml);

/* Bodies, each up to its aml_end() (20.2.5). */
void aml_scope(Aml *aml, const char *path);
void aml_device(Aml *aml, const char *name);
void aml_method(Aml *aml, const char *name, unsigned n_args, bool serialized);
void aml_package(Aml *aml, uint8_t n_elements);
void aml_if(Aml *aml); /* followed by the predicate, then by the body */
void aml_else(Aml *aml);
void aml_resources(Aml *aml);
void aml_end(Aml *aml);

/* Values.  A path is segments of up to four characters: "\\_SB.PWRB", "ESEL". */
void aml_int(Aml *aml, uint64_t value);
void aml_string(Aml *aml, const char *text);
void aml_eisaid(Aml *aml, const char *id); /* as in "PNP0501" */
void aml_path(Aml *aml, const char *path);
void aml_local(Aml *aml, unsigned n);

/* Name (name, ...): followed by one value. */
void aml_name(Aml *aml, const char *name);

typedef enum {
    AML_STORE = 0x70,  /* source, target */
    AML_AND = 0x7b,    /* left, right, target (aml_nowhere for none) */
    AML_NOTIFY = 0x86, /* device, value */
    AML_RETURN = 0xa4, /* value */
} AmlOperator;

void aml_operator(Aml *aml, AmlOperator op);
void aml_nowhere(Aml *aml);

/* A region of a register space (ACPI_SPACE_), and one 32-bit field that covers its start. */
void aml_region(Aml *aml, const char *name, uint8_t space, uint64_t offset, uint64_t len);
void aml_field32(Aml *aml, const char *region, const char *field);

/* Descriptors between aml_resources() and its end (6.4). */
typedef enum {
    AML_LEVEL,
    AML_EDGE,
} AmlTrigger;

void aml_res_memory32(Aml *aml, uint32_t base, uint32_t len, bool writable);
void aml_res_io(Aml *aml, uint16_t port, uint8_t len);
void aml_res_isa_irq(Aml *aml, unsigned irq); /* 0..15: edge, active high, exclusive */
void aml_res_interrupt(Aml *aml, uint32_t gsi, AmlTrigger trigger);

/* A window that a bridge passes on. */
void aml_res_memory64_window(Aml *aml, uint64_t base, uint64_t len, bool cacheable);

#endif
