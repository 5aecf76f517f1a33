$( Predicate calculus with equality on top of propositional.mm: quantifiers, and conditions that
   variables are disjoint, among them such of variables that no statement shows. $)

$[ propositional.mm $]

$c A. = setvar term $.
$v x y z r s t u $.
vx $f setvar x $.
vy $f setvar y $.
vz $f setvar z $.
tr $f term r $.
ts $f term s $.
tt $f term t $.
tu $f term u $.
wal $a wff A. x ph $.
tv $a term x $.
weq $a wff s = t $.

${
  gen.1 $e |- ph $.
  ax-gen $a |- A. x ph $.
$}
ax-all $a |- ( A. x ( ph -> ps ) -> ( A. x ph -> A. x ps ) ) $.
${
  $d x ph $.
  ax-free $a |- ( ph -> A. x ph ) $.
$}
${
  $d x t $.
  ax-some $a |- -. A. x -. x = t $.
$}
ax-eq $a |- ( r = s -> ( r = t -> s = t ) ) $.

${
  all-imply.1 $e |- ( ph -> ps ) $.
  all-imply $p |- ( A. x ph -> A. x ps ) $=
    wph wps wi vx wal wph vx wal wps vx wal wi wph wps wi vx all-imply.1 ax-gen wph wps vx
    ax-all ax-mp $.
$}

${
  all-imply-twice.1 $e |- ( ph -> ps ) $.
  all-imply-twice $p |- ( A. x A. y ph -> A. x A. y ps ) $=
    ( all-imply wal ) ADGBDGCABDEFF $.
$}

${
  $d x ph $.
  generalise.1 $e |- ( ph -> ps ) $.
  generalise $p |- ( ph -> A. x ps ) $=
    wph wph vx wal wps vx wal wph vx ax-free wph wps vx generalise.1 all-imply chain $.
$}

${
  $d x ph $.
  $d y ph $.
  generalise-twice.1 $e |- ( ph -> ps ) $.
  generalise-twice $p |- ( ph -> A. x A. y ps ) $=
    ( generalise wal ) ABDGCABDEFF $.
$}

${
  $d x ph ps $.
  free-in-both $p |- ( ( ph -> ps ) -> A. x ( ph -> ps ) ) $=
    wph wps wi vx ax-free $.
$}

${
  $d x ps $.
  instance.1 $e |- ( ph -> ps ) $.
  instance $p |- ( -. A. x -. ph -> ps ) $=
    ( by-negation wal wn generalise contraposed ) BAGZCFBGJCABDIHE $.
$}

$( Needs a variable that it does not show, and that one disjoint from its own. $)
${
  $d y t $.
  self-equal $p |- t = t $=
    ( ax-mp wn wal weq tv vy ax-some instance contract ax-eq ) GFZAEZCGDCAAEZGAHMNGMNLAAKJIB $.
$}

symmetric $p |- ( s = t -> t = s ) $=
  ts ts weq ts tt weq tt ts weq wi ts self-equal ts tt weq ts ts weq tt ts weq ts tt ts ax-eq
  swap ax-mp $.

transitive $p |- ( r = s -> ( s = t -> r = t ) ) $=
  ( chain weq wi symmetric ax-eq ) ABEBAEBCEACEFABGBACHD $.

${
  then-equal.1 $e |- r = s $.
  then-equal.2 $e |- s = t $.
  then-equal $p |- r = t $=
    tr ts weq ts tt weq tr tt weq then-equal.1 then-equal.2 tr ts tt transitive double-mp $.
$}

${
  equal-back.1 $e |- s = t $.
  equal-back $p |- t = s $=
    ts tt weq tt ts weq equal-back.1 ts tt symmetric ax-mp $.
$}

all-equal $p |- A. x A. y ( x = y -> y = x ) $=
  ( ax-gen wal wi weq tv symmetric ) AGZBGZFJIFEZBDAKBIJHCC $.

${
  $d x y $.
  some-equal $p |- ( ph -> A. x -. A. y -. y = x ) $=
    ( weaken wal wn weq tv ax-gen ax-some ) CHBHZGFCEFZBEALBCKJID $.
$}
