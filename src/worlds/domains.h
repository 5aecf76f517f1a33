// worlds/domains.h - the kinds of worlds, a row each.
#pragma once

#include "worlds/tool.h"

namespace metier::worlds {

extern const DomainSpec kRetailDomain;   // retail/
extern const DomainSpec kAirlineDomain;  // airline/

}  // namespace metier::worlds
