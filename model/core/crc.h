#ifndef SONDE_CORE_CRC_H
#define SONDE_CORE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32C (Castagnoli, polynomial 0x1EDC6F41, as in iSCSI and ext4), by the processor's instruction
 * where it has one. Start with 0; pieces may be added one after the other. */
uint32_t crc32c(uint32_t crc, const void *data, size_t n);
uint32_t crc32c_plain(uint32_t crc, const void *data, size_t n); /* its twin, a table */

#endif
