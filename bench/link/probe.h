/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LINK_PROBE_H
#define BENCH_LINK_PROBE_H

/* Calls one ordinary function of each library under study; 0 if one of them failed. */
int probe_use(void);

int probe_glib(void);
int probe_json(void);
int probe_fdt(void);
int probe_uring(void);

#endif
