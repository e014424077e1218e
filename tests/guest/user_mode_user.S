/* SPDX-License-Identifier: Apache-2.0 */
/* The user half of user_mode.c.  Each leaves by USER_CALL_EXIT with its result. */
#include "tests/guest/lib/user.h"

    .text
    .code64

/* Fills the registers that a call must keep, does it, and counts what changed into %rdi. */
.macro keep_registers instruction
    movq $0x1111111111111111, %rbx
    movq $0x2222222222222222, %rbp
    movq $0x3333333333333333, %rsi
    movq $0x4444444444444444, %r8
    movq $0x5555555555555555, %r9
    movq $0x6666666666666666, %r10
    movq $0x7777777777777777, %r12
    movq $0x1234567812345678, %r13
    movq $0x0fedcba987654321, %r14
    movq %rsp, %r15
    movl $USER_CALL_NOTHING, %eax
    \instruction
    movq %rax, %rdi
    check_register %rbx, 0x1111111111111111
    check_register %rbp, 0x2222222222222222
    check_register %rsi, 0x3333333333333333
    check_register %r8, 0x4444444444444444
    check_register %r9, 0x5555555555555555
    check_register %r10, 0x6666666666666666
    check_register %r12, 0x7777777777777777
    check_register %r13, 0x1234567812345678
    check_register %r14, 0x0fedcba987654321
    cmpq %rsp, %r15
    je 9f
    addq $1000, %rdi
9:
    user_call USER_CALL_EXIT
.endm

.macro check_register register, value
    movabsq $\value, %rax
    cmpq %rax, \register
    je 8f
    addq $1000, %rdi
8:
.endm

    .globl user_mode_invalid_opcode
user_mode_invalid_opcode:
    keep_registers ud2

/* Answers 0 if INT 0x80 is a system call, the vector of the exception if it is not. */
    .globl user_mode_try_interrupt
user_mode_try_interrupt:
    movl $USER_CALL_NOTHING, %eax
    int $0x80
    xorl %edi, %edi
    user_call USER_CALL_EXIT

    .globl user_mode_interrupt
user_mode_interrupt:
    keep_registers "int $0x80"

    .globl user_mode_syscall
user_mode_syscall:
    keep_registers "syscall"

    .globl user_mode_privileged, user_mode_privileged_instruction
user_mode_privileged:
user_mode_privileged_instruction:
    cli
    xorl %edi, %edi
    user_call USER_CALL_EXIT

    .globl user_mode_spin
user_mode_spin:
    cmpl $3, (%rdi)
    jb user_mode_spin
    user_call USER_CALL_EXIT

    .section .note.GNU-stack, "", @progbits
