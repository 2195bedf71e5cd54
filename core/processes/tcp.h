// Processes that TCP connects (tcp.cpp).
#pragma once
#include <memory>
#include <vector>

#include "core/processes/processes.h"
#include "core/processes/rendezvous.h"

namespace rmt {

// Of rank 0: `connections` to the ranks 1, 2, ... stand at their rank, none at [0] (Listener). Of
// the others: one, to rank 0 (join()).
std::unique_ptr<Processes> tcp_room(int64_t rank, int64_t size,
                                    std::vector<Connection> connections);

// The same, met where MASTER_ADDR and MASTER_PORT say.
std::unique_ptr<Processes> tcp_room_of_environment(int64_t rank, int64_t size);

}  // namespace rmt
