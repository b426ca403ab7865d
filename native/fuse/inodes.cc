// The inode table: slots with generations, and a map by which the same thing gets the same slot.
#include "fuse/inodes.h"

#include <cstring>

#include "blake3/blake3.h"

namespace tvix::fuse {

namespace {

// 64 bits of a digest; files, executables, directories and symlinks of the same bytes differ. 0 and 1 are nobody's.
uint64_t number_of(const Digest& digest, Kind kind, bool executable) {
  uint64_t number = 0;
  for (size_t i = 8; i-- > 0;) number = number << 8 | digest[i];
  number ^= static_cast<uint64_t>(kind) << 2 | (executable ? 2u : 0u);
  return number > 1 ? number : number + 2;
}

std::string key_of(uint64_t parent, std::string_view name, const Inode& inode) {
  std::string key(1, static_cast<char>('0' + static_cast<int>(inode.kind) * 2 + (inode.executable ? 1 : 0)));
  if (inode.kind == Kind::kDirectory) {
    char where[8];
    std::memcpy(where, &parent, sizeof where);
    return key.append(where, sizeof where).append(name);
  }
  if (inode.kind == Kind::kSymlink) return key.append(*inode.target);
  return key.append(reinterpret_cast<const char*>(inode.digest.data()), inode.digest.size());
}

uint64_t node_of(uint32_t slot, uint32_t generation) { return static_cast<uint64_t>(generation) << 32 | (slot + 1ULL); }

}  // namespace

Inode inode_of(const Listing& listing, const Listing::Entry& entry) {
  Inode out;
  out.kind = entry.kind;
  out.executable = entry.executable;
  if (entry.kind == Kind::kSymlink) {
    const std::string_view target = listing.target(entry);
    Digest digest{};
    blake3::hash(reinterpret_cast<const uint8_t*>(target.data()), target.size(), digest.data());
    out.target = std::make_shared<const std::string>(target);
    out.size = target.size();
    out.number = number_of(digest, entry.kind, false);
  } else {
    out.digest = listing.digest(entry);
    out.size = entry.size;
    out.number = number_of(out.digest, entry.kind, entry.executable);
  }
  return out;
}

Inodes::Inodes(Inode root, size_t limit) : limit_(limit) {
  root.number = kRootNode;
  slots_.push_back({std::move(root), {}, 1, 0});
}

uint64_t Inodes::acquire(uint64_t parent, std::string_view name, const Inode& inode) {
  std::string key = key_of(parent, name, inode);
  std::lock_guard lock(mutex_);
  const bool full = slots_.size() - free_.size() >= limit_;
  if (full && !by_key_.contains(key)) return 0;
  auto [found, fresh] = by_key_.try_emplace(std::move(key), 0);
  if (!fresh) {
    Slot& slot = slots_[found->second];
    // A store's path may come to stand for another directory; its old inode stays with whoever still uses it.
    if (inode.kind != Kind::kDirectory || slot.inode.digest == inode.digest) {
      slot.lookups++;
      return node_of(found->second, slot.generation);
    }
    if (full) return 0;
    slot.key.clear();
  }
  uint32_t index;
  if (free_.empty()) {
    index = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  found->second = index;
  Slot& slot = slots_[index];
  slot.inode = inode;
  slot.inode.parent = parent;
  slot.key = found->first;
  slot.lookups = 1;
  return node_of(index, slot.generation);
}

Inodes::Slot* Inodes::slot_of(uint64_t node) {
  const uint64_t index = (node & UINT32_MAX) - 1;
  if (index >= slots_.size()) return nullptr;
  Slot& slot = slots_[index];
  return slot.lookups > 0 && slot.generation == node >> 32 ? &slot : nullptr;
}

bool Inodes::find(uint64_t node, Inode& out) {
  std::lock_guard lock(mutex_);
  const Slot* slot = slot_of(node);
  if (slot) out = slot->inode;
  return slot != nullptr;
}

void Inodes::forget(uint64_t node, uint64_t lookups) {
  std::lock_guard lock(mutex_);
  Slot* slot = slot_of(node);
  if (!slot || node == kRootNode) return;
  if (slot->lookups > lookups) {
    slot->lookups -= lookups;
    return;
  }
  if (!slot->key.empty()) by_key_.erase(slot->key);
  const uint32_t generation = slot->generation + 1;
  *slot = Slot{};
  slot->generation = generation;
  free_.push_back(static_cast<uint32_t>(slot - slots_.data()));
}

void Inodes::clear() {
  std::lock_guard lock(mutex_);
  by_key_.clear();
  free_.clear();
  for (size_t i = slots_.size(); i-- > 1;) {
    const uint32_t generation = slots_[i].generation + 1;
    slots_[i] = Slot{};
    slots_[i].generation = generation;
    free_.push_back(static_cast<uint32_t>(i));
  }
}

size_t Inodes::count() {
  std::lock_guard lock(mutex_);
  return slots_.size() - free_.size();
}

}  // namespace tvix::fuse
