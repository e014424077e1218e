/* SPDX-License-Identifier: Apache-2.0 */
/* Entering ring 3 with a stack of its own, and its three system calls. */
#include "tests/guest/lib/user.h"

#include "tests/guest/lib/report.h"

#define MSR_STAR         0xc0000081
#define MSR_LSTAR        0xc0000082
#define MSR_SYSCALL_MASK 0xc0000084
#define OPCODE_UD2       0x0b0f
#define EFER_SCE         0x1
#define RFLAGS_IF_DF_TF  0x700

uint64_t user_enter(void (*code)(void *), void *argument, void *stack_top, uint64_t *kernel_stack);
__attribute__((noreturn)) void user_leave(uint64_t kernel_stack, uint64_t value);
void syscall_entry(void);
extern uint64_t syscall_kernel_stack;

static uint8_t user_stack[16384] __attribute__((aligned(16)));

void user_init(void)
{
    msr_write(MSR_STAR, (uint64_t)SEGMENT_USER_CODE32 << 48 | (uint64_t)SEGMENT_CODE << 32);
    msr_write(MSR_LSTAR, (uint64_t)syscall_entry);
    msr_write(MSR_SYSCALL_MASK, RFLAGS_IF_DF_TF);
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_SCE);
}

uint64_t user_run(void (*code)(void *argument), void *argument)
{
    Cpu *cpu = cpu_current();
    uint64_t here = (uint64_t)__builtin_frame_address(0);

    /* Traps from user mode start well below the frames that user_leave() comes back to. */
    cpu->task.rsp[0] = (here - 2048) & ~15ul;
    syscall_kernel_stack = cpu->task.rsp[0];
    return user_enter(code, argument, user_stack + sizeof(user_stack) - 8, &cpu->user_return);
}

bool user_is_call(const TrapFrame *frame)
{
    if (frame->cs != SEGMENT_USER_CODE) {
        return false;
    }
    return frame->vector == VECTOR_SYSCALL ||
           (frame->vector == VECTOR_INVALID_OPCODE && *(const uint16_t *)frame->rip == OPCODE_UD2);
}

void user_system_call(TrapFrame *frame)
{
    if (frame->vector == VECTOR_INVALID_OPCODE) {
        frame->rip += sizeof(uint16_t);
    }
    switch (frame->rax) {
    case USER_CALL_EXIT:
        user_leave(cpu_current()->user_return, frame->rdi);
    case USER_CALL_MIGRATE_POINT:
        frame->rax = migrate_point();
        break;
    case USER_CALL_NOTHING:
        frame->rax = frame->rdi + 1;
        break;
    default:
        frame->rax = (uint64_t)-1;
        break;
    }
}
