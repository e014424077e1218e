/* SPDX-License-Identifier: Apache-2.0 */
/* The user half of fpu.c: the only code of the payloads that touches x87, SSE or AVX. */
#include "tests/guest/lib/user.h"

    .text
    .code64

.macro leave_user_mode
    xorl %edi, %edi
    user_call USER_CALL_EXIT
.endm

/* FpuHold *: load image, store image, mask */
    .globl fpu_user_hold
fpu_user_hold:
    movq %rdi, %rbx
    movq 0(%rbx), %rdi
    movl 16(%rbx), %eax
    movl 20(%rbx), %edx
    xrstor64 (%rdi)
    user_call USER_CALL_MIGRATE_POINT
    movq 8(%rbx), %rdi
    movl 16(%rbx), %eax
    movl 20(%rbx), %edx
    xsave64 (%rdi)
    fninit
    leave_user_mode

/* The same by FXRSTOR and FXSAVE, for x87 and SSE alone; the mask does not count. */
    .globl fpu_user_hold_legacy
fpu_user_hold_legacy:
    movq %rdi, %rbx
    movq 0(%rbx), %rdi
    fxrstor64 (%rdi)
    user_call USER_CALL_MIGRATE_POINT
    movq 8(%rbx), %rdi
    fxsave64 (%rdi)
    fninit
    leave_user_mode

/* uint64_t *: XCR0, which is anybody's to read, goes there. */
    .globl fpu_user_read_xcr0
fpu_user_read_xcr0:
    xorl %ecx, %ecx
    xgetbv
    movl %eax, 0(%rdi)
    movl %edx, 4(%rdi)
    leave_user_mode

/* Three vectors of eight floats: the third becomes the sum of the others. */
    .globl fpu_user_add_sse
fpu_user_add_sse:
    movaps 0(%rdi), %xmm0
    addps 32(%rdi), %xmm0
    movaps %xmm0, 64(%rdi)
    leave_user_mode

    .globl fpu_user_add_avx
fpu_user_add_avx:
    vmovaps 0(%rdi), %ymm1
    vaddps 32(%rdi), %ymm1, %ymm2
    vmovaps %ymm2, 64(%rdi)
    vzeroupper
    leave_user_mode

/* Two doubles: the second becomes the square root of the first. */
    .globl fpu_user_sqrt_x87
fpu_user_sqrt_x87:
    fldl 0(%rdi)
    fsqrt
    fstpl 8(%rdi)
    leave_user_mode

    .section .note.GNU-stack, "", @progbits
