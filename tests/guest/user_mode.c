/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring 3: all ways into the kernel and back, registers kept, privileged instructions refused,
 * timer interrupts taken.  What fpu.c stands on.
 */
#include "tests/guest/lib/apic.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/trap.h"
#include "tests/guest/lib/user.h"
#include "tests/guest/lib/x86.h"

#define VECTOR_TICK 0x40
#define TICK_COUNT  100000

void user_mode_invalid_opcode(void *argument);
void user_mode_try_interrupt(void *argument);
void user_mode_interrupt(void *argument);
void user_mode_syscall(void *argument);
void user_mode_privileged(void *argument);
void user_mode_spin(void *argument);
extern const uint8_t user_mode_privileged_instruction[];

static volatile unsigned ticks_from_user;
static volatile uint64_t faulting_rip;
static volatile uint64_t faulting_cs;

static void on_tick(TrapFrame *frame)
{
    if (frame->cs == SEGMENT_USER_CODE) {
        ticks_from_user++;
    }
    apic_end_of_interrupt();
}

static void on_exception(TrapFrame *frame)
{
    faulting_rip = frame->rip;
    faulting_cs = frame->cs;
    frame->rax = USER_CALL_EXIT;
    frame->rdi = frame->vector;
    user_system_call(frame);
}

static void test_timer_in_user_mode(void)
{
    trap_set_handler(VECTOR_TICK, on_tick);
    apic_write(APIC_TIMER_DIVIDE, APIC_TIMER_DIVIDE_1);
    apic_write(APIC_LVT_TIMER, APIC_TIMER_PERIODIC | VECTOR_TICK);
    apic_write(APIC_TIMER_INITIAL, TICK_COUNT);
    user_run(user_mode_spin, (void *)(uint64_t)&ticks_from_user);
    apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
    report(ticks_from_user >= 3, "timer interrupts are taken in user mode");
}

/*
 * Where KVM emulates kernel mode for want of hardware it may refuse software interrupts, and leave
 * SYSCALL half done.  An open gate is never an invalid opcode, so that is how it shows.
 */
static bool has_software_interrupts(void)
{
    bool is_whole;

    trap_set_handler(VECTOR_INVALID_OPCODE, on_exception);
    is_whole = user_run(user_mode_try_interrupt, NULL) == 0;
    if (!is_whole) {
        report_note("KVM here cannot do INT in user mode: INT and SYSCALL are not tested");
    }
    return is_whole;
}

static void test_calls(bool is_whole, const char *when)
{
    report(user_run(user_mode_invalid_opcode, (void *)41) == 42,
           "UD2 enters the kernel and comes back with all registers kept, %s", when);
    if (is_whole) {
        report(user_run(user_mode_interrupt, (void *)41) == 42,
               "INT 0x80 enters the kernel and comes back with all registers kept, %s", when);
        report(user_run(user_mode_syscall, (void *)41) == 42,
               "SYSCALL enters the kernel and comes back with all registers kept, %s", when);
    }
}

void payload_main(void)
{
    bool is_whole = has_software_interrupts();

    test_calls(is_whole, "at start");
    trap_set_handler(VECTOR_GENERAL_PROTECTION, on_exception);
    report_equal(user_run(user_mode_privileged, NULL), VECTOR_GENERAL_PROTECTION,
                 "CLI in user mode is a general protection fault");
    report_equal(faulting_rip, (uint64_t)user_mode_privileged_instruction,
                 "the fault names the instruction");
    report_equal(faulting_cs, SEGMENT_USER_CODE, "the fault names the user code segment");
    test_timer_in_user_mode();
    migrate_point();
    test_calls(is_whole, "after the migrate point");
}
