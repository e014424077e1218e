/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PVH kernel that writes a newline to the first serial port, again and again: frozen at any
 * moment, it speaks as soon as it goes on.
 */
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 8, 18
    .asciz "Xen"
    .quad first_out

    .text
    .code32
    .globl first_out
first_out:
    mov $0x3f8, %dx
    mov $'\n', %al
1:  out %al, %dx
    mov $32, %ecx
2:  loop 2b
    jmp 1b

    .section .note.GNU-stack, "", @progbits
