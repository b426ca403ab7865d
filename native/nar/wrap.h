// Listings between C++ and JavaScript.
#pragma once

#include "common/loop.h"
#include "nar/tree.h"

namespace tvix {

Napi::Value listing_object(Napi::Env env, const nar::Listing& listing);
// False (with a pending RangeError) when the value is not a tree in NAR order.
bool listing_of(const Napi::Value& value, nar::Listing& out);

}  // namespace tvix
