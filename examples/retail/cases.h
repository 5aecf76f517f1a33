// retail/cases.h - a case of the base corpus: letters of one writer, records that somebody fetches
// in between, and notes that hold all that is known so far.
#pragma once

#include "retail/talk.h"

namespace metier::retail {

// Appends a case to the talk. Each note is a JSON object between <note> tags: what the last letter
// is about, and under "known" the facts said since the case began, the latest value of each, and
// the details of the last letter. So a number is still known when much else has been said after it,
// and a thing that is only named is found in a record.
void HandleCase(Talk& talk);

// Appends short letters of different people, each with a note of what it is about or why.
void SortMail(Talk& talk);

}  // namespace metier::retail
