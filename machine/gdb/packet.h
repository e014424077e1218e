/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_GDB_PACKET_H
#define MACHINE_GDB_PACKET_H

/*
 * The framing of gdb's remote serial protocol, both ways: bytes to packets, packets to bytes.
 *
 *     $ payload # two digits of a sum        answered with + (or - : send it again)
 *     0x03                                   no packet: stop the guest
 *
 * In a payload } says that the next byte was changed by 0x20.  Knows nothing of what packets mean.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the largest payload may be; gdb is told. */
#define GDB_PACKET_BYTES 4096U

typedef struct GdbPacketUser {
    /* payload ends with a zero that does not count. */
    void (*packet)(void *opaque, const char *payload, size_t len);
    void (*interrupt)(void *opaque);
    void *opaque;
} GdbPacketUser;

typedef enum {
    GDB_INPUT_IDLE,
    GDB_INPUT_PAYLOAD,
    GDB_INPUT_ESCAPED,
    GDB_INPUT_SUM_HIGH,
    GDB_INPUT_SUM_LOW,
} GdbInputState;

typedef struct GdbPackets {
    GdbPacketUser user;
    GdbInputState state;
    bool no_acks;
    bool overlong;   /* the rest of the payload is thrown away */
    uint8_t sum;     /* of what has come */
    uint8_t claimed; /* the first digit of what it should be */
    GString *payload;
    GString *last; /* the last packet sent, as bytes, until gdb says that it has come */
    GString *output;
} GdbPackets;

void gdb_packets_init(GdbPackets *packets, const GdbPacketUser *user);
void gdb_packets_fini(GdbPackets *packets);

/* Another client: nothing is left of the one before. */
void gdb_packets_reset(GdbPackets *packets);

void gdb_packets_receive(GdbPackets *packets, const uint8_t *data, size_t len);

/* Appends a packet to output, which the caller sends and shortens. */
void gdb_packets_send(GdbPackets *packets, const char *payload, size_t len);

#endif
