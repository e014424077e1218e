/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_GDB_PRIVATE_H
#define MACHINE_GDB_PRIVATE_H

/* What the files of this folder share. */

#include "machine/gdb/packet.h"
#include "machine/gdb/stub.h"

#define GDB_SIGNAL_INT  2
#define GDB_SIGNAL_TRAP 5

/* Errors have numbers that gdb shows and nobody looks at; they are errno's. */
#define GDB_ERROR_MEMORY   "E14"
#define GDB_ERROR_ARGUMENT "E22"

typedef enum {
    GDB_RESUME_CONTINUE,
    GDB_RESUME_STEP,
    GDB_RESUME_HOLD, /* stays where it is while others run */
} GdbResume;

typedef struct GdbCpu {
    GdbResume resume;
    DebugStop stop; /* written by the vCPU's thread before it parks */
} GdbCpu;

typedef struct GdbPoint {
    bool software;
    DebugPoint point; /* len of a software breakpoint is the instruction's */

    /* a software breakpoint: where it is in RAM, and what is there */
    uint64_t gpa;
    bool planted;
    uint8_t original[4];
} GdbPoint;

struct GdbStub {
    /* fixed after gdb_stub_new */
    Vm *vm;
    Chardev *chardev;
    const DebugTarget *target;
    const DebugOps *ops;
    unsigned num_cpus;
    size_t block_bytes;

    GdbPackets packets;
    GdbCpu *cpus;
    GArray *points; /* of GdbPoint; changed while the VM is stopped only */
    unsigned current;
    unsigned listed;    /* threads that qfThreadInfo has told */
    unsigned signal;    /* why the VM stopped last */
    DebugStop last;     /* the same, if it was a vCPU's doing */
    bool owes_a_stop;   /* gdb waits to hear why the guest stopped */
    bool physical;      /* addresses are the guest's physical ones */
    unsigned step_bits; /* QEMU's: GDB_STEP_... */
};

#define GDB_STEP_ENABLE   1U
#define GDB_STEP_NO_IRQ   2U
#define GDB_STEP_NO_TIMER 4U /* the guest's clock stands while the VM is stopped in any case */
#define GDB_STEP_BITS     (GDB_STEP_ENABLE | GDB_STEP_NO_IRQ | GDB_STEP_NO_TIMER)

/* One packet: what follows its name, and what is answered, which may be nothing. */
typedef struct GdbRequest {
    const char *arguments;
    size_t len;
    GString *reply;
    bool no_reply; /* gdb waits for something else, or for nothing */
} GdbRequest;

typedef void (*GdbRequestFn)(GdbStub *stub, GdbRequest *request);

/* ---- text ---- */

/* Moves *cursor past hexadecimal digits.  False, and *cursor stays, if there is none or too many. */
bool gdb_parse_hex(const char **cursor, uint64_t *ret_value);

/* The same, then a separator, which may be 0 for the end of the text. */
bool gdb_parse_hex_until(const char **cursor, char separator, uint64_t *ret_value);

void gdb_append_hex(GString *text, const uint8_t *data, size_t len);

/* Exactly len bytes in hexadecimal. */
bool gdb_parse_bytes(const char *text, uint8_t *ret_data, size_t len);

/* A vCPU's index, or -1 (all) as *ret_index; 0 (any) is the current one. */
bool gdb_parse_thread(const GdbStub *stub, const char **cursor, int *ret_index);

/* ---- packets, by file ---- */

void gdb_query_supported(GdbStub *stub, GdbRequest *request);
void gdb_query_features(GdbStub *stub, GdbRequest *request);
void gdb_query_first_threads(GdbStub *stub, GdbRequest *request);
void gdb_query_more_threads(GdbStub *stub, GdbRequest *request);
void gdb_query_thread_extra(GdbStub *stub, GdbRequest *request);
void gdb_query_current(GdbStub *stub, GdbRequest *request);
void gdb_query_attached(GdbStub *stub, GdbRequest *request);
void gdb_query_step_bits(GdbStub *stub, GdbRequest *request);
void gdb_query_step(GdbStub *stub, GdbRequest *request);
void gdb_set_step(GdbStub *stub, GdbRequest *request);
void gdb_query_physical(GdbStub *stub, GdbRequest *request);
void gdb_set_physical(GdbStub *stub, GdbRequest *request);
void gdb_set_no_acks(GdbStub *stub, GdbRequest *request);

void gdb_why(GdbStub *stub, GdbRequest *request);
void gdb_actions(GdbStub *stub, GdbRequest *request);
void gdb_resume(GdbStub *stub, GdbRequest *request);
void gdb_continue(GdbStub *stub, GdbRequest *request);
void gdb_continue_signal(GdbStub *stub, GdbRequest *request);
void gdb_step(GdbStub *stub, GdbRequest *request);
void gdb_step_signal(GdbStub *stub, GdbRequest *request);
void gdb_detach(GdbStub *stub, GdbRequest *request);

void gdb_read_registers(GdbStub *stub, GdbRequest *request);
void gdb_write_registers(GdbStub *stub, GdbRequest *request);
void gdb_read_register(GdbStub *stub, GdbRequest *request);
void gdb_write_register(GdbStub *stub, GdbRequest *request);
void gdb_read_memory(GdbStub *stub, GdbRequest *request);
void gdb_write_memory(GdbStub *stub, GdbRequest *request);
void gdb_write_binary(GdbStub *stub, GdbRequest *request);

void gdb_insert_point(GdbStub *stub, GdbRequest *request);
void gdb_remove_point(GdbStub *stub, GdbRequest *request);

/* ---- parts ---- */

/* target.xml. */
GString *gdb_describe_target(const DebugTarget *target);

/* The DebugTap. */
void gdb_starting(void *opaque);
void gdb_stopped(void *opaque);
bool gdb_hit(void *opaque, const Vcpu *vcpu, const DebugStop *stop);

/* Harmless when it is stopped. */
void gdb_stop_guest(GdbStub *stub);

/* Sends the reason why the guest is stopped, for which gdb waits. */
void gdb_tell_stop(GdbStub *stub);

/* vCPUs parked: each is told where to stop. */
void gdb_prepare_cpus(GdbStub *stub);

/* What came over the line. */
void gdb_receive(void *opaque, const uint8_t *data, size_t len);

/* Sends what the other end takes. */
void gdb_flush(GdbStub *stub);

/* In the address space that the current vCPU is in. */
bool gdb_translate(const GdbStub *stub, uint64_t address, uint64_t *ret_gpa);

/* Sets the current vCPU's program counter. */
bool gdb_set_pc(GdbStub *stub, uint64_t address);

void gdb_points_plant(GdbStub *stub);
void gdb_points_unplant(GdbStub *stub);
void gdb_points_clear(GdbStub *stub);

/* Any thread while the guest runs: is there a breakpoint of ours at address? */
bool gdb_points_has_software(const GdbStub *stub, uint64_t address);

/* What every vCPU is to be told before it runs. */
void gdb_points_settings(const GdbStub *stub, DebugSettings *ret_settings);

#endif
