// Checking an LMDB file page by page, without LMDB: it trusts its file, and a damaged page can end or hang the process.
//
// LMDB keeps two meta pages, written in turns, and B-trees of fixed-size pages: one of free pages, one of the named
// databases, and one for each of those. The check walks all of them from the newer meta page and sees to it that every
// page is what refers to it says, lies in the file and is met once, that keys ascend, and that the counts agree. What
// keys and values mean is for those who read them.
//
// Page: number u64, transaction u64, pad u16, flags u16, lower u16, upper u16 (or page count u32), then u16 pointers to
// nodes; all pointers count from the end of these 24 bytes. Node: low and high half of the data size u16, flags u16,
// key size u16, key, data; in a branch the first three are the child's page number. Database record: pad u32, flags
// u16, depth u16, then u64 each: branch, leaf and overflow pages, entries, root page. All in the machine's byte order.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/failure.h"

namespace tvix::index {

// The named databases there may be, with the length of their keys in bytes; 0 for keys of any length.
using Tables = std::map<std::string, uint32_t, std::less<>>;

// Appends what is wrong to `problems`, in words, one for each thing found; nothing for a missing or empty file. With
// `strict` a database that `tables` does not name is wrong. A file that is written to meanwhile is walked again; one
// that never rests is left unchecked.
Failure check(const std::string& path, const Tables& tables, bool strict, std::vector<std::string>& problems);

}  // namespace tvix::index
