$( Numbers as Peano has them, as far as sums and products of numerals go. $)

$[ predicate.mm $]

$c 0 S + x. $.
t0 $a term 0 $.
tsuc $a term S t $.
tpl $a term ( s + t ) $.
tmu $a term ( s x. t ) $.

ax-suc $a |- ( s = t -> S s = S t ) $.
ax-sum0 $a |- ( t + 0 ) = t $.
ax-sum $a |- ( s + S t ) = S ( s + t ) $.
ax-sum-left $a |- ( r = s -> ( r + t ) = ( s + t ) ) $.
ax-product0 $a |- ( t x. 0 ) = 0 $.
ax-product $a |- ( s x. S t ) = ( ( s x. t ) + s ) $.
ax-distinct $a |- -. S t = 0 $.
ax-one-to-one $a |- ( S s = S t -> s = t ) $.

${
  suc-equal.1 $e |- s = t $.
  suc-equal $p |- S s = S t $=
    ts tt weq ts tsuc tt tsuc weq suc-equal.1 ts tt ax-suc ax-mp $.
$}

${
  sum-step.1 $e |- ( s + t ) = u $.
  sum-step $p |- ( s + S t ) = S u $=
    ts tt tsuc tpl ts tt tpl tsuc tu tsuc ts tt ax-sum ts tt tpl tu sum-step.1 suc-equal
    then-equal $.
$}

one-more $p |- ( t + S 0 ) = S t $=
  ( sum-step t0 ax-sum0 ) ACAADB $.

one-and-one $p |- ( S 0 + S 0 ) = S S 0 $=
  t0 tsuc one-more $.

two-and-two $p |- ( S S 0 + S S 0 ) = S S S S 0 $=
  ( sum-step tsuc t0 ax-sum0 ) CBZBZEFBFCFFDAA $.

three-and-four $p |- ( S S S 0 + S S S S 0 ) = S S S S S S S 0 $=
  t0 tsuc tsuc tsuc t0 tsuc tsuc tsuc t0 tsuc tsuc tsuc tsuc tsuc tsuc t0 tsuc tsuc tsuc t0
  tsuc tsuc t0 tsuc tsuc tsuc tsuc tsuc t0 tsuc tsuc tsuc t0 tsuc t0 tsuc tsuc tsuc tsuc t0
  tsuc tsuc tsuc t0 t0 tsuc tsuc tsuc t0 tsuc tsuc tsuc ax-sum0 sum-step sum-step sum-step
  sum-step $.

${
  product-step.1 $e |- ( s x. t ) = r $.
  product-step.2 $e |- ( r + s ) = u $.
  product-step $p |- ( s x. S t ) = u $=
    ( then-equal tmu tsuc tpl ax-product ax-mp weq ax-sum-left )
    BCIHBCHZBJZDBCKPABJZDOAMPQMEOABNLFGG $.
$}

twice-one $p |- ( S S 0 x. S 0 ) = S S 0 $=
  ( product-step t0 tsuc ax-product0 sum-step ax-sum0 ) BBCZCZBHHDBGGBBBBFEEA $.

twice-two $p |- ( S S 0 x. S S 0 ) = S S S S 0 $=
  ( product-step tsuc t0 twice-one sum-step ax-sum0 ) CBZBZHGHBZBDHGIHCHHFEEA $.

$( Without lemmas for the smaller products. $)
thrice-three $p |- ( S S S 0 x. S S S 0 ) = S S S S S S S S S 0 $=
  ( product-step tsuc t0 ax-product0 sum-step ax-sum0 )
  CBZBZBZBZBZBZIHLBZBZBIIGLCICIIDCHHCGGCCCCFEEEAIHKIGJICIIFEEE ALHNLGMLCLLFEEEA $.

${
  zero-left.1 $e |- ( 0 + t ) = t $.
  zero-left $p |- ( 0 + S t ) = S t $=
    t0 tt tt zero-left.1 sum-step $.
$}

${
  suc-apart.1 $e |- -. s = t $.
  suc-apart $p |- -. S s = S t $=
    ( ax-mp wn weq tsuc contraposed ax-one-to-one ) ABFZEAGBGFZECKJABIHD $.
$}

two-is-not-one $p |- -. S S 0 = S 0 $=
  ( suc-apart tsuc t0 ax-distinct ) CBCCDA $.
