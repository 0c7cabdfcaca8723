package importers_test
import ("testing";"os";"fmt";"strings";"strconv";"bufio";"time";"context";"payrun/importers")
func TestMemGen(t *testing.T){
 for _, n := range []int{10000,100000,1000000} { f,_ := os.Create(fmt.Sprintf("/tmp/gen/m%d.csv",n)); w := bufio.NewWriter(f); w.WriteString("Reference,Channel,Account,Amount,Currency,Remark\n"); for i := range n { w.WriteString(strings.Join(benchFields(i),",")+"\n") }; w.Flush(); f.Close() }
 for _, n := range []int{10000,100000,1000000} { var sb strings.Builder; sb.WriteString(headerCells); for i := range n { sb.WriteString("<row r=\""+strconv.Itoa(i+2)+"\">"); for c, v := range benchFields(i) { ref := string(rune('A'+c))+strconv.Itoa(i+2); if c==3 {sb.WriteString(numberCell(ref,v))} else {sb.WriteString(`<c r="`+ref+`" t="inlineStr"><is><t>`+v+`</t></is></c>`)} }; sb.WriteString("</row>") }; os.WriteFile(fmt.Sprintf("/tmp/gen/m%d.xlsx",n), newBook(sb.String()).bytes(t), 0o600) }
}
func TestMemRead(t *testing.T){
 var s counter
 st := time.Now()
 res, err := importers.Read(context.Background(), os.Getenv("MEMF"), importers.Rules{MaxRows: 2000000, MaxBytes: 1<<32, MaxUnzipped: 1<<33}, &s)
 b,_ := os.ReadFile("/proc/self/status"); for _, l := range strings.Split(string(b),"\n") { if strings.HasPrefix(l,"VmHWM") { fmt.Println(os.Getenv("MEMF"), l, res.Accepted, err, time.Since(st)) } }
}
