// train/worker_place.h - which of a run's processes this one is, as the program that started it
// says by environment variables.
//
//   torchrun, by hand   RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE
//   mpirun (Open MPI)   OMPI_COMM_WORLD_RANK _SIZE _LOCAL_RANK _LOCAL_SIZE
//   srun                SLURM_PROCID SLURM_NTASKS SLURM_LOCALID, where SLURM_STEP_ID is set: a
//   batch
//                       script, which is not started by srun, has the others too
//   all of them         MASTER_ADDR MASTER_PORT: where worker 0 listens
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"

namespace metier::train {

struct WorkerPlace {
  int rank = 0;
  int count = 1;        // of all machines
  int local_rank = 0;   // among those of this machine
  int local_count = 1;  // of this machine, where it is known and each may use every core
  std::string address;  // of worker 0
  std::uint16_t port = 0;
};

// The value of a variable, or null.
using Environment = std::function<const char*(const char* name)>;

// One process where no variable says otherwise. torchrun's own agent listens at MASTER_PORT
// (TORCHELASTIC_USE_AGENT_STORE says so): the workers then meet at the next port.
// kInvalidArgument, with the variable's name: one is missing or makes no sense.
Result<WorkerPlace> ReadWorkerPlace(const Environment& environment);

}  // namespace metier::train
