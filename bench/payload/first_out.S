/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PVH kernel whose first act is a newline to the first serial port, and its last: a newline, because
 * a monitor may well hold back a lone byte for a while to write a line in one go.  PAD_BYTES
 * follow the code, so that it can be as large as a real kernel without doing more.  With BUSY it
 * then leaves the guest as fast as it can, for ever.
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
    out %al, %dx
#ifdef BUSY
1:  out %al, $0x80
#else
1:  hlt
#endif
    jmp 1b
    .fill PAD_BYTES, 1, 0x90

    .section .note.GNU-stack, "", @progbits
