/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 256 interrupt gates that all end in trap_dispatch(TrapFrame *), the way into user mode, and the
 * way back.  TrapFrame in trap.h draws the stack that is built here.
 */
#include "tests/guest/lib/layout.h"

    .text
    .code64

/* Vectors for which the processor pushes an error code itself: 8, 10-14, 17, 21, 29, 30. */
#define HAS_ERROR_CODE 0x60227d00

    .balign 16
    .globl trap_stubs
trap_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if (vector >= 32)
    pushq $0
    .elseif (((HAS_ERROR_CODE >> vector) & 1) == 0)
    pushq $0
    .endif
    pushq $vector
    jmp trap_common
    .set vector, vector + 1
    .endr

trap_common:
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rbx
    pushq %rbp
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi
    movq %rsp, %rbx
    andq $-16, %rsp
    call trap_dispatch
    movq %rbx, %rsp
trap_return:
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rbp
    popq %rbx
    popq %rdx
    popq %rcx
    popq %rax
    addq $16, %rsp
    iretq

/*
 * uint64_t user_enter(code, argument, stack_top, uint64_t *kernel_stack), as user.c declares it.
 * The stack as it is here goes to *kernel_stack, for user_leave.
 */
    .globl user_enter
user_enter:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rcx)
    pushq $SEGMENT_USER_DATA
    pushq %rdx
    pushq $0x202
    pushq $SEGMENT_USER_CODE
    pushq %rdi
    movq %rsi, %rdi
    iretq

/* noreturn user_leave(uint64_t kernel_stack, uint64_t value): user_enter returns value. */
    .globl user_leave
user_leave:
    movq %rdi, %rsp
    movq %rsi, %rax
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

/* SYSCALL lands here: build the frame that INT would have built, and go the same way. */
    .globl syscall_entry
syscall_entry:
    movq %rsp, syscall_user_stack
    movq syscall_kernel_stack, %rsp
    pushq $SEGMENT_USER_DATA
    pushq syscall_user_stack
    pushq %r11
    pushq $SEGMENT_USER_CODE
    pushq %rcx
    pushq $0
    pushq $VECTOR_SYSCALL
    jmp trap_common

    .bss
    .balign 8
    .globl syscall_kernel_stack
syscall_kernel_stack:
    .quad 0
syscall_user_stack:
    .quad 0

    .section .note.GNU-stack, "", @progbits
