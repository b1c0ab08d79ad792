package prove

import "os"

const programEnv = "ORDERLY_TEST_PROGRAM"

func userProgram(how string) int { _ = os.Args; return 0 }
