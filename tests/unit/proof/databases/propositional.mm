$( Propositional calculus from three axioms and modus ponens. Proofs in both forms: the short
   ones spell every step, the long ones are compressed. $)

$c ( ) -> -. wff |- $.
$v ph ps ch th $.
wph $f wff ph $.
wps $f wff ps $.
wch $f wff ch $.
wth $f wff th $.
wn $a wff -. ph $.
wi $a wff ( ph -> ps ) $.

${
  min $e |- ph $.
  maj $e |- ( ph -> ps ) $.
  ax-mp $a |- ps $.
$}
ax-1 $a |- ( ph -> ( ps -> ph ) ) $.
ax-2 $a |- ( ( ph -> ( ps -> ch ) ) -> ( ( ph -> ps ) -> ( ph -> ch ) ) ) $.
ax-3 $a |- ( ( -. ph -> -. ps ) -> ( ps -> ph ) ) $.

${
  double-mp.1 $e |- ph $.
  double-mp.2 $e |- ps $.
  double-mp.3 $e |- ( ph -> ( ps -> ch ) ) $.
  double-mp $p |- ch $=
    wps wch double-mp.2 wph wps wch wi double-mp.1 double-mp.3 ax-mp ax-mp $.
$}

${
  weaken.1 $e |- ph $.
  weaken $p |- ( ps -> ph ) $=
    wph wps wph wi weaken.1 wph wps ax-1 ax-mp $.
$}

${
  distribute.1 $e |- ( ph -> ( ps -> ch ) ) $.
  distribute $p |- ( ( ph -> ps ) -> ( ph -> ch ) ) $=
    wph wps wch wi wi wph wps wi wph wch wi wi distribute.1 wph wps wch ax-2 ax-mp $.
$}

${
  under-mp.1 $e |- ( ph -> ps ) $.
  under-mp.2 $e |- ( ph -> ( ps -> ch ) ) $.
  under-mp $p |- ( ph -> ch ) $=
    wph wps wi wph wch wi under-mp.1 wph wps wch under-mp.2 distribute ax-mp $.
$}

${
  chain.1 $e |- ( ph -> ps ) $.
  chain.2 $e |- ( ps -> ch ) $.
  chain $p |- ( ph -> ch ) $=
    wph wps wch chain.1 wps wch wi wph chain.2 weaken under-mp $.
$}

$( The same goes in and comes out: S K K. $)
id $p |- ( ph -> ph ) $=
  wph wph wph wi wi wph wph wi wph wph ax-1 wph wph wph wi wph wi wi wph wph wph wi wi wph wph
  wi wi wph wph wph wi ax-1 wph wph wph wi wph ax-2 ax-mp ax-mp $.

${
  swap.1 $e |- ( ph -> ( ps -> ch ) ) $.
  swap $p |- ( ps -> ( ph -> ch ) ) $=
    wps wph wps wi wi wps wph wch wi wi wps wph ax-1 wps wph wps wi wph wch wi wi wi wps wph
    wps wi wi wps wph wch wi wi wi wph wps wi wph wch wi wi wps wph wps wi wph wch wi wi wi wph
    wps wch wi wi wph wps wi wph wch wi wi swap.1 wph wps wch ax-2 ax-mp wph wps wi wph wch wi
    wi wps ax-1 ax-mp wps wph wps wi wph wch wi ax-2 ax-mp ax-mp $.
$}

${
  contract.1 $e |- ( ph -> ( ph -> ps ) ) $.
  contract $p |- ( ph -> ps ) $=
    wph wph wps wph id contract.1 under-mp $.
$}

compose $p |- ( ( ps -> ch ) -> ( ( ph -> ps ) -> ( ph -> ch ) ) ) $=
  ( ax-mp wi ax-1 ax-2 ) BCEZAHEZEZHABEACEEZEZHAFHIKEZEZJLEMNABCGMHFDHIKGDD $.

compose-back $p |- ( ( ph -> ps ) -> ( ( ps -> ch ) -> ( ph -> ch ) ) ) $=
  ( ax-mp wi ax-1 ax-2 ) ABEZBCEZHEZEZHIACEZEZEZHIFHJMEZEZKNEOPIHLEZEZOIAIEZEZRIAFISQ
  EZEZTREUAUBABCGUAIFDISQGDDIHLGDOHFDHJMGDD $.

apply $p |- ( ph -> ( ( ph -> ps ) -> ps ) ) $=
  wph wph wps wi wph wi wi wph wph wps wi wps wi wi wph wph wps wi ax-1 wph wph wps wi wph wi
  wph wps wi wps wi wi wi wph wph wps wi wph wi wi wph wph wps wi wps wi wi wi wph wps wi wph
  wi wph wps wi wps wi wi wph wph wps wi wph wi wph wps wi wps wi wi wi wph wps wi wph wps wi
  wi wph wps wi wph wi wph wps wi wps wi wi wph wps wi id wph wps wi wph wps ax-2 ax-mp wph wps
  wi wph wi wph wps wi wps wi wi wph ax-1 ax-mp wph wph wps wi wph wi wph wps wi wps wi ax-2
  ax-mp ax-mp $.

contract-twice $p |- ( ( ph -> ( ph -> ps ) ) -> ( ph -> ps ) ) $=
  ( ax-mp wi id ax-1 ax-2 ) AABDZDZAADZDZIHDZJKAEJIFCIJHDDKLDAABGIJHGCC $.

exchange $p |- ( ( ph -> ( ps -> ch ) ) -> ( ps -> ( ph -> ch ) ) ) $=
  ( ax-mp wi ax-1 ax-2 ) ABCEEZBABEZEZEZHBACEZEZEZJKBAFJHFDHJMEZEZKNEHBILEZEZEZPHQEZS
  ABCGHQREZEZTSEUAUBQBFUAHFDHQRGDDHROEZEZSPEUCUDBILGUCHFDHROGD DHJMGDD $.

$( The longest proof of this file. $)
rotate $p |- ( ( ph -> ( ps -> ( ch -> th ) ) ) -> ( ch -> ( ph -> ( ps -> th ) ) ) ) $=
  ( ax-mp wi ax-1 ax-2 ) ABCDFFZFZCABCFZFZFZFZJCABDFZFZFZFZMNCKFZMCBGCKLFZFZSMFTUAKAG
  TCGECKLHEEMJGEJMQFZFZNRFJCLPFZFZFZUCJUDFZUFJAKOFZFZFZUGAIUHF
  ZFZUJUKULBCDHUKAGEAIUHHEJUIUDFZFZUJUGFUMUNAKOHUMJGEJUIUDHEEJ
  UDUEFZFZUGUFFUOUPUDCGUOJGEJUDUEHEEJUEUBFZFZUFUCFUQURCLPHUQJG EJUEUBHEEJMQHEE $.

explode $p |- ( -. ph -> ( ph -> ps ) ) $=
  wph wn wps wn wph wn wi wi wph wn wph wps wi wi wph wn wps wn ax-1 wph wn wps wn wph wn wi
  wph wps wi wi wi wph wn wps wn wph wn wi wi wph wn wph wps wi wi wi wps wn wph wn wi wph wps
  wi wi wph wn wps wn wph wn wi wph wps wi wi wi wps wph ax-3 wps wn wph wn wi wph wps wi wi
  wph wn ax-1 ax-mp wph wn wps wn wph wn wi wph wps wi ax-2 ax-mp ax-mp $.

by-contradiction $p |- ( ( -. ph -> ph ) -> ph ) $=
  ( ax-mp wi wn id explode ax-2 ax-3 ax-1 )
  ADZACZKCZKACZKEKMCZLMCKJKDZCZCZNJAOCCQAOFJAOGBKPMCZCZQNCRSAK HRKIBKPMGBBKKAGBB $.

double-negation-out $p |- ( -. -. ph -> ph ) $=
  wph wn wn wph wn wph wi wi wph wn wn wph wi wph wn wph explode wph wn wn wph wn wph wi wph wi
  wi wph wn wn wph wn wph wi wi wph wn wn wph wi wi wph wn wph wi wph wi wph wn wn wph wn wph
  wi wph wi wi wph by-contradiction wph wn wph wi wph wi wph wn wn ax-1 ax-mp wph wn wn wph wn
  wph wi wph ax-2 ax-mp ax-mp $.

double-negation-in $p |- ( ph -> -. -. ph ) $=
  wph wn wn wn wph wn wi wph wph wn wn wi wph wn double-negation-out wph wn wn wph ax-3 ax-mp $.

contrapose $p |- ( ( ph -> ps ) -> ( -. ps -> -. ph ) ) $=
  ( ax-mp wi wn double-negation-out ax-1 ax-2 double-negation-in ax-3 )
  ABDZAEZEZBEZEZDZDZKNLDZDZKMBDZDZQKMADZDZUAUBUCAFUBKGCKUBTDZD
  ZUCUADKMKDZDZUEKMGKUFUDDZDZUGUEDUHUIMABHUHKGCKUFUDHCCKUBTHCC
  KTPDZDZUAQDUJUKMBODZDZUJULUMBIULMGCMBOHCUJKGCKTPHCCKPRDZDZQS DUNUOLNJUNKGCKPRHCC $.

${
  contraposed.1 $e |- ( ph -> ps ) $.
  contraposed $p |- ( -. ps -> -. ph ) $=
    wph wps wi wps wn wph wn wi contraposed.1 wph wps contrapose ax-mp $.
$}

${
  by-negation.1 $e |- ( -. ph -> ps ) $.
  by-negation $p |- ( -. ps -> ph ) $=
    ( chain wn contraposed double-negation-out ) BEAEZEAHBCFAGD $.
$}

peirce $p |- ( ( ( ph -> ps ) -> ph ) -> ph ) $=
  ( ax-mp wi wn explode ax-1 ax-2 by-contradiction )
  ABDZADZAEZADZDZKADZKLJDZDZNPQABFPKGCKPMDZDZQNDKLKDZDZSKLGKTR
  DZDZUASDUBUCLJAHUBKGCKTRHCCKPMHCCKMADZDZNODUDUEAIUDKGCKMAHCC $.

either-way $p |- ( ( ph -> ps ) -> ( ( -. ph -> ps ) -> ps ) ) $=
  ( ax-mp wi wn contrapose ax-1 ax-2 by-contradiction )
  ABDZAEZBDZBEZBDZDZDZJLBDZDZJLMKDZDZDZPJSDZUAABFJSTDZDZUBUADU
  CUDSLGUCJGCJSTHCCJTODZDZUAPDUEUFLSNDZDZUELMLDZDZUHLMGLUIUGDZ
  DZUJUHDUKULMKBHUKLGCLUIUGHCCLSNHCUEJGCJTOHCCJOQDZDZPRDUMUNLN
  BDZDZUMUOUPBIUOLGCLNBHCUMJGCJOQHCC $.
